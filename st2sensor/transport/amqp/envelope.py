"""Turns messages into the form in which AMQP carries them."""

from __future__ import annotations

from dataclasses import replace

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


def amqp_message(message: Message) -> amqp.Message:
    return amqp.Message(
        message.body,
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        application_headers=message.headers,
        delivery_mode=PERSISTENT,
        priority=0,
        **({} if message.id is None else {"message_id": message.id}),
    )
