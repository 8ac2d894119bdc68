"""Encodes messages for the broker: small ones directly, large ones in a worker process.

A large body may take half a gigabyte as Python objects, and decoding it would hold up all threads.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from st2sensor.errors import Undeliverable
from st2sensor.transport.codec import encoded
from st2sensor.workers.limits import Limits
from st2sensor.workers.pool import Pool

LARGE = 256 * 1024
"""Number of characters from which a body counts as large."""

TIMEOUT = 30.0
"""Seconds that encoding a large body may take."""

LIMITS = Limits(memory=2_000_000_000, request=100_000_000, answer=200_000_000)


class Encoder:
    """Encodes bodies. For one thread. Starts no process before the first large body."""

    def __init__(self) -> None:
        self._pool = Pool({"encode": "st2sensor.transport.codec:encoded_text"}, processes=1, limits=LIMITS)

    def encode(self, serializer: str, body: str, tagged: bool) -> bytes:
        """Encode a body as `codec.encoded` does.

        Also raises WorkFailed for a body that is not JSON, or that takes too much time or memory.
        """
        if len(body) < LARGE:
            return encoded(serializer, body, tagged)
        text: Any = self._pool.run("encode", json.dumps([serializer, body, tagged]).encode(), TIMEOUT)
        if isinstance(text, dict):
            raise Undeliverable(text["undeliverable"])
        return body.encode() if text is None else base64.b64decode(text)

    def close(self) -> None:
        """End the worker process."""
        self._pool.close()
