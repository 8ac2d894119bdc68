"""All errors of st2sensor, in one tree. Each has the exit code of a command that fails with it.

docs/exit-codes.md lists all errors by their codes. Standard library only, CPython 3.9: this module is part of the
wrapper.
"""

from __future__ import annotations

import re

STEERS = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Characters that steer a terminal or end a line."""

LONGEST_MESSAGE = 4000
"""Maximum number of characters of a message about a file: it may quote any value in the file."""


class St2SensorError(Exception):
    """Root of the tree. The message names the thing that failed and the remedy."""

    exit_code = 1


class ConfigError(St2SensorError):
    exit_code = 78


class ContentError(St2SensorError):
    """A file of a pack is wrong.

    :param message: the problem and the remedy.
    :param file: path of the file, as it is shown to the user.
    :param line: line in the file, counted from 1; None if unknown.
    """

    exit_code = 65

    def __init__(self, message: str, *, file: str, line: int | None = None) -> None:
        self.message = _shortened(_readable(message))
        super().__init__(self.message)
        self.file = _readable(file)
        self.line = line

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.message}"


def _readable(text: str) -> str:
    """Return one line for terminals and databases. Control characters and bytes that are not UTF-8 are escaped."""
    try:
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        text = text.encode("utf-8", "backslashreplace").decode()
    return STEERS.sub(lambda found: ascii(found[0])[1:-1], text)


def _shortened(text: str) -> str:
    """Return a text without its middle if it is too long: the remedy is at its end."""
    half = LONGEST_MESSAGE // 2
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:half]} ... {text[-half:]}"


class TriggerRefused(St2SensorError):
    """:param key: the wrong part: `type`, `trigger`, `parameters` or `payload`."""

    exit_code = 65

    def __init__(self, message: str, *, key: str) -> None:
        super().__init__(message)
        self.key = key


class RecordingError(St2SensorError):
    exit_code = 65


class ValueRefused(St2SensorError):
    exit_code = 65


class SensorNotFound(St2SensorError):
    exit_code = 66


class TriggerNotFound(St2SensorError):
    exit_code = 66


class KeyNotFound(St2SensorError):
    exit_code = 66


class DeadLetterNotFound(St2SensorError):
    exit_code = 66


class NodeNotFound(St2SensorError):
    exit_code = 66


class StillHeld(St2SensorError):
    exit_code = 75


class StateDirectoryBusy(St2SensorError):
    exit_code = 75


class ContainerAway(St2SensorError):
    exit_code = 69


class AlreadyThere(St2SensorError):
    exit_code = 73


class AccessDenied(St2SensorError):
    exit_code = 77


class ContainerForbidden(AccessDenied):
    pass


class LeaseLost(St2SensorError):
    exit_code = 75

    def __init__(self, sensor: str) -> None:
        super().__init__(f"this container no longer holds {sensor}: another container may be running it")


class OutboxError(St2SensorError):
    exit_code = 74


class OutboxDamaged(OutboxError):
    pass


class HistoryError(St2SensorError):
    exit_code = 74


class HistoryForbidden(HistoryError):
    exit_code = 77


class BadCursor(HistoryError):
    exit_code = 65


class HistoryCut(HistoryError):
    """:param oldest: the cursor before the oldest event that is kept."""

    def __init__(self, message: str, *, oldest: str) -> None:
        super().__init__(message)
        self.oldest = oldest


class EventNotFound(HistoryError):
    exit_code = 66


class WorkFailed(St2SensorError):
    exit_code = 70


class WorkExceeded(WorkFailed):
    """:param what: the limit that was exceeded: `time`, `memory`, `request` or `answer`."""

    def __init__(self, message: str, *, what: str) -> None:
        super().__init__(message)
        self.what = what


class WorkersBusy(WorkFailed):
    exit_code = 75


class StorageError(St2SensorError):
    exit_code = 69


class StorageUnavailable(StorageError):
    """:ivar uncertain: whether the operation may have been carried out nevertheless."""

    def __init__(self, message: str, *, uncertain: bool = False) -> None:
        super().__init__(message)
        self.uncertain = uncertain


class StorageForbidden(StorageUnavailable):
    exit_code = 77


class TransportError(St2SensorError):
    exit_code = 69


class BrokerUnavailable(TransportError):
    pass


class MessageNotTaken(BrokerUnavailable):
    pass


class RoutingKeyForbidden(BrokerUnavailable):
    """Topic authorisation refuses one routing key. Other keys of the same exchange may be allowed.

    :param routing_key: the refused key.
    :param confirmed: ascending indexes of the messages in the batch that the broker has confirmed. All others,
        including the refused one, must be published again.
    :param unrouted: ascending indexes of the confirmed messages that no queue has taken.
    """

    def __init__(
        self, message: str, *, routing_key: str, confirmed: tuple[int, ...], unrouted: tuple[int, ...] = ()
    ) -> None:
        super().__init__(message)
        self.routing_key = routing_key
        self.confirmed = confirmed
        self.unrouted = unrouted


class MessageRefused(TransportError):
    pass


class Undeliverable(MessageRefused):
    pass


class SecretError(St2SensorError):
    """A value that a configuration takes from another source cannot be read. The message holds no value."""

    exit_code = 69


class SecretUnavailable(SecretError):
    """The source does not answer, and may do so later."""


class RpcError(St2SensorError):
    exit_code = 70


class ProtocolError(RpcError):
    pass


class ContainerGone(RpcError):
    pass


class SensorStops(RpcError):
    pass


class DatastoreError(St2SensorError):
    exit_code = 69


class DatastoreUnavailable(DatastoreError):
    """:ivar uncertain: whether the call may have been carried out nevertheless, or may still be."""

    def __init__(self, *message: object, uncertain: bool = False) -> None:
        super().__init__(*message)
        self.uncertain = uncertain


class KeyFileWrong(DatastoreError):
    """The file of the key for secrets is missing, or holds no key."""

    exit_code = 78


class KeyFileForbidden(KeyFileWrong):
    exit_code = 77


class DatastoreRefused(DatastoreError, PermissionError):
    pass


SENSOR_FACING: dict[str, type[Exception]] = {
    kind.__name__: kind
    for kind in (
        RpcError,
        ProtocolError,
        SensorStops,
        DatastoreError,
        DatastoreUnavailable,
        DatastoreRefused,
        TypeError,
        ValueError,
    )
}
"""Errors that the container sends to sensors, by their names on the wire."""
