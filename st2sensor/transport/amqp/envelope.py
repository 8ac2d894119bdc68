"""Turns messages into the form in which AMQP carries them."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import amqp
from kombu.compression import compress

from st2sensor.transport.base import Message

PERSISTENT = 2
"""AMQP's delivery mode for messages that survive a restart of the broker."""

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
        template = _template(
            message.content_type, message.content_encoding, tuple(message.headers.items()), message.id is not None
        )
        if message.id is None:
            self._properties = template
        else:
            identifier = message.id.encode()
            self._properties = b"%b%c%b" % (template, len(identifier), identifier)

    def _serialize_properties(self) -> bytes:
        """Return the encoded properties. The frame writer calls this."""
        return self._properties


@lru_cache(maxsize=1000)
def _template(content_type: str, content_encoding: str, headers: tuple[tuple[str, str], ...], has_id: bool) -> bytes:
    """Return the properties as py-amqp encodes them. The id is the last one: its length and text are missing."""
    message = amqp.Message(
        b"",
        content_type=content_type,
        content_encoding=content_encoding,
        application_headers=dict(headers),
        delivery_mode=PERSISTENT,
        priority=0,
        **({"message_id": ""} if has_id else {}),
    )
    encoded: bytes = message._serialize_properties()
    return encoded[:-1] if has_id else encoded
