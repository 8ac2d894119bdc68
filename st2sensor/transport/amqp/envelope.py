"""Turns messages into the form in which AMQP carries them."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from struct import pack

import amqp
from kombu.compression import compress

from st2sensor.transport.base import CREATED, Message

PERSISTENT = 2
"""AMQP's delivery mode for messages that survive a restart of the broker."""

TIMESTAMP = 8
"""Bytes of a timestamp."""

COMPRESSIONS = {"bz2": "bzip2"}
"""kombu's names of compressions for which StackStorm has another name."""


def compressed(message: Message, compression: str | None) -> Message:
    """Return a message, compressed as kombu does it, so that StackStorm understands it.

    Announcements are too small for that.
    """
    if compression is None or message.id is None:
        return message
    body, kind = compress(message.body, COMPRESSIONS.get(compression, compression))
    return replace(message, body=body, headers={**message.headers, "compression": kind})


class Envelope:
    """A message whose properties are encoded from a template. py-amqp's frame writer needs no more of a message.

    Raises OverflowError for an id of more than 255 bytes.
    """

    __slots__ = ("_properties", "body")

    def __init__(self, message: Message) -> None:
        self.body = message.body
        created = message.created_text
        before, after = _template(
            message.content_type,
            message.content_encoding,
            tuple(message.headers.items()),
            message.id is not None,
            None if created is None else len(created),
        )
        parts = [before]
        if created is not None:
            parts += (created.encode(), after)
        if message.id is not None:
            identifier = message.id.encode()
            parts.append(b"%c%b" % (len(identifier), identifier))
        if message.created is not None:
            parts.append(pack(">Q", max(0, int(message.created))))
        self._properties = b"".join(parts)

    def _serialize_properties(self) -> bytes:
        """Return the encoded properties. The frame writer calls this."""
        return self._properties


@lru_cache(maxsize=1000)
def _template(
    content_type: str, content_encoding: str, headers: tuple[tuple[str, str], ...], has_id: bool, digits: int | None
) -> tuple[bytes, bytes]:
    """Return the properties as py-amqp encodes them, before and after the digits of the header CREATED.

    The id and the timestamp are the last ones, and missing.

    :param digits: number of the digits; None without the header and the timestamp. Then the second part is empty.
    """
    created = {} if digits is None else {CREATED: "0" * digits}
    message = amqp.Message(
        b"",
        content_type=content_type,
        content_encoding=content_encoding,
        application_headers=created | dict(headers),
        delivery_mode=PERSISTENT,
        priority=0,
        **({"message_id": ""} if has_id else {}),
        **({} if digits is None else {"timestamp": 0}),
    )
    encoded: bytes = message._serialize_properties()
    encoded = encoded[: len(encoded) - has_id - TIMESTAMP * (digits is not None)]
    if digits is None:
        return encoded, b""
    # It is the first header, and nothing before it contains the same bytes.
    end = encoded.index(b"%c%bS%b" % (len(CREATED), CREATED.encode(), pack(">I", digits))) + len(CREATED) + 6
    return encoded[:end], encoded[end + digits :]
