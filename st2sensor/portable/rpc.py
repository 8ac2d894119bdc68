"""The protocol between container and wrapper: JSON-RPC 2.0 in UTF-8, with one message on each line.

A request carries an `id`, and is answered once; answers come in any order. A notification has no `id` and no answer.
A request with `bodies: n` is followed by n lines of JSON: payloads and values, which need not be decoded on the way.
Standard library only, CPython 3.9: this module is part of the wrapper.
"""

from __future__ import annotations

import json
import signal
from typing import Any, Dict, List, Optional, Sequence

from st2sensor.errors import SENSOR_FACING, ProtocolError, RpcError, St2SensorError

PROTOCOL_VERSION = 1
"""Sent in `hello`. A container refuses a wrapper that has another version."""

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""Maximum number of bytes of an answer; a longer one is refused."""

MAX_REQUEST_TOTAL_BYTES = 32 * 1024 * 1024
"""Maximum number of bytes of a request with its bodies, all held in memory. A longer request ends the session."""

MAX_REQUEST_BYTES = 1024 * 1024
"""Maximum number of bytes of a line that the container decodes: decoding takes time from all sensors. Longer values go
into bodies."""

MAX_BODIES = 10_000
"""Maximum number of bodies of one request."""

STOP_SIGNAL, STACKS_SIGNAL = signal.SIGRTMAX - 1, signal.SIGRTMAX - 2
"""Signals from container to wrapper: a stop that a sensor's own SIGTERM handler cannot block, and a request to print
the stack of every thread on stderr."""

METHOD_NOT_FOUND = -32601
INTERNAL_ERROR = -32603
APPLICATION_ERROR = -32000

Message = Dict[str, Any]

_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_ASCII_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def request(identifier: int, method: str, params: Message, bodies: Sequence[bytes] = ()) -> bytes:
    """Encode a request. Raises NotJson and ValueError, as `encode` does.

    :param bodies: results of `body`.
    """
    message = {"jsonrpc": "2.0", "id": identifier, "method": method, "params": params}
    if not bodies:
        data = encode(message)
        _check_length(data, MAX_REQUEST_TOTAL_BYTES)
        return data
    if len(bodies) > MAX_BODIES:
        raise ValueError(f"{len(bodies)} events are too many for one request; the limit is {MAX_BODIES}")
    line = encode({**message, "bodies": len(bodies)})[:-1]
    # The container ends a session that sends a longer line.
    _check_length(line, MAX_REQUEST_BYTES)
    data = b"\n".join([line, *bodies, b""])
    _check_length(data, MAX_REQUEST_TOTAL_BYTES)
    return data


def body(value: Any) -> bytes:
    """Encode a value as the body of a request. Raises NotJson when it is not JSON."""
    try:
        text = _ENCODER.encode(value)
        try:
            return text.encode()
        except UnicodeEncodeError:
            # UTF-8 cannot encode half of a surrogate pair, but JSON has an escape for it.
            return _ASCII_ENCODER.encode(value).encode()
    except (TypeError, ValueError, RecursionError) as exception:
        raise NotJson(str(exception)) from exception


def notification(method: str, params: Message) -> bytes:
    """Encode a notification. Raises NotJson and ValueError, as `encode` does."""
    return encode({"jsonrpc": "2.0", "method": method, "params": params})


def result(identifier: Optional[int], value: Any) -> bytes:
    """Encode the answer to a request."""
    if value is None and identifier is not None:
        # Every dispatch() is answered like this.
        return b'{"jsonrpc":"2.0","id":%d,"result":null}\n' % identifier
    return encode({"jsonrpc": "2.0", "id": identifier, "result": value})


def error(identifier: Optional[int], exception: Exception, code: int = APPLICATION_ERROR) -> bytes:
    """Encode a refusal. The receiver raises the same type of exception if it is one that sensors know."""
    body = {"code": code, "message": str(exception), "data": {"type": _kind_of(exception)}}
    return encode({"jsonrpc": "2.0", "id": identifier, "error": body})


def _kind_of(exception: Exception) -> str:
    """Return the name of an exception's type, or of the base that sensors know if they do not know the type."""
    ours = (kind.__name__ for kind in type(exception).__mro__ if issubclass(kind, St2SensorError))
    return next((name for name in ours if name in SENSOR_FACING), type(exception).__name__)


def encode(message: Message) -> bytes:
    """Encode a message as one line. Raises NotJson for values that are not JSON, and ValueError for too long a line."""
    try:
        line = _ENCODER.encode(message).encode("utf-8", "surrogatepass") + b"\n"
    except (TypeError, ValueError, RecursionError) as exception:
        raise NotJson(str(exception)) from exception
    _check_length(line, MAX_MESSAGE_BYTES)
    return line


def _check_length(data: bytes, limit: int) -> None:
    if len(data) > limit:
        raise ValueError(f"{len(data)} bytes are too many for one message; the limit is {limit}")


def decode(line: bytes) -> Message:
    """Decode one line. Raises ProtocolError when it is not a JSON-RPC 2.0 object."""
    try:
        message = json.loads(line.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as exception:
        raise ProtocolError(f"not a JSON message: {exception}") from exception
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise ProtocolError("not a JSON-RPC 2.0 message")
    return message


def answer_of(message: Message) -> Any:
    """Return a response's result, or raise the error it carries."""
    refusal = message.get("error")
    if refusal is None:
        return message.get("result")
    kind = SENSOR_FACING.get((refusal.get("data") or {}).get("type", ""), RpcError)
    raise kind(refusal.get("message", "the container refused the request"))


class NotJson(TypeError):
    """A message holds a value that JSON cannot represent."""


class Requests:
    """Assembles requests from lines. Each request holds its bodies, not decoded, under `bodies`."""

    def __init__(self) -> None:
        self._begun: Optional[Message] = None
        self._missing = 0
        self._size = 0

    def add(self, line: bytes) -> Optional[Message]:
        """Add a line, and return the request that it completes, or None. Raises ProtocolError."""
        if self._begun is None:
            if len(line) > MAX_REQUEST_BYTES:
                raise ProtocolError(f"a request is longer than {MAX_REQUEST_BYTES} bytes: send payloads as bodies")
            message = decode(line)
            self._missing = message.get("bodies", 0)
            if type(self._missing) is not int or not 0 <= self._missing <= MAX_BODIES:
                raise ProtocolError(f"bodies must be a number from 0 to {MAX_BODIES}")
            message["bodies"] = []
            self._begun, self._size = message, len(line)
        else:
            self._size += len(line)
            if self._size > MAX_REQUEST_TOTAL_BYTES:
                raise ProtocolError(f"a request is longer than {MAX_REQUEST_TOTAL_BYTES} bytes")
            self._begun["bodies"].append(line)
            self._missing -= 1
        if self._missing:
            return None
        complete, self._begun = self._begun, None
        return complete


class LineBuffer:
    """Collects bytes into whole lines."""

    def __init__(self, limit: int = MAX_MESSAGE_BYTES) -> None:
        self._limit = limit
        self._partial = bytearray()

    def feed(self, data: bytes) -> List[bytes]:
        """Add data and return the lines it completes, without their newline.

        Raises ProtocolError when a line exceeds the limit.
        """
        head, newline, tail = data.rpartition(b"\n")
        if not newline:
            self._partial += data
            lines: List[bytes] = []
        else:
            first, *others = head.split(b"\n")
            # A long line is copied only once.
            self._partial += first
            lines = [bytes(self._partial), *others]
            self._partial = bytearray(tail)
        if len(self._partial) > self._limit:
            raise ProtocolError(f"a message is longer than {self._limit} bytes")
        return lines
