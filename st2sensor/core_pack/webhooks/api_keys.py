"""API keys for senders of webhooks. They are stored hashed, in the datastore of `core.WebhookSensor`.

A key is `ID.SECRET`. Its secret has 256 random bits, so one round of SHA-256 is enough: it cannot be guessed.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from logging import Logger
from time import monotonic

from st2sensor.core_pack.webhooks.refusal import Refusal
from st2sensor.errors import St2SensorError

PREFIX = "api_key."
"""Start of the datastore key's name; the id of the API key follows."""

MARK = "made"
"""Stands in place of an id in the name of the record that some key was once made. It authorizes nothing, and outlives
every key."""

REFRESH_INTERVAL = 5.0
"""Seconds between two regular reads of the stored keys. A revoked key may be accepted for this long."""

MIN_REFRESH_INTERVAL = 0.5
"""The fewest seconds between two reads of the stored keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """One API key.

    :param id: the part of the key that is not secret.
    :param digest: SHA-256 of its secret, in hexadecimal.
    :param note: the operator's note about its purpose.
    :param created: the time of creation, as in `2026-01-31T12:00:00.000000Z`.
    :param revoked: the time of revocation; None for a valid key.
    """

    id: str
    digest: str
    note: str
    created: str
    revoked: str | None = None

    def to_text(self) -> str:
        fields = {"digest": self.digest, "note": self.note, "created": self.created, "revoked": self.revoked}
        return json.dumps(fields, sort_keys=True)

    def ended(self, now: str) -> ApiKey:
        """Return the key, revoked."""
        return replace(self, revoked=self.revoked or now)

    def opens(self, secret: str) -> bool:
        """Return whether the key is valid and has this secret."""
        return hmac.compare_digest(_digest(secret), self.digest) and self.revoked is None


def made(note: str, now: str) -> tuple[ApiKey, str]:
    """Return a new key, and the text that senders send."""
    identifier, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    return ApiKey(id=identifier, digest=_digest(secret), note=note, created=now), f"{identifier}.{secret}"


def from_text(identifier: str, text: str) -> ApiKey:
    """Parse a stored key. Raises ValueError."""
    try:
        key = ApiKey(id=identifier, **json.loads(text))
    except (TypeError, RecursionError) as exception:
        raise ValueError(str(exception)) from exception
    if not all(isinstance(field, str) for field in (key.digest, key.note, key.created, key.revoked or "")):
        raise ValueError("a field is not text")
    return key


def readable(identifier: str, text: str) -> ApiKey:
    """Parse a stored key. An unreadable one authorizes nothing, but counts as a key."""
    try:
        return from_text(identifier, text)
    except ValueError:
        return ApiKey(id=identifier, digest="", note="unreadable", created="", revoked="unreadable")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


class ApiKeys:
    """The keys that the sensor knows. Used by the loop's thread only.

    :param read: returns the stored keys, by id. While it raises St2SensorError, the last known keys are used.
    :param mark: stores the record that a key was made.
    :param clock: returns seconds.
    """

    def __init__(
        self,
        read: Callable[[], Awaitable[Mapping[str, str]]],
        mark: Callable[[], Awaitable[None]],
        logger: Logger,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._read = read
        self._mark = mark
        self._was_any = False
        self._logger = logger
        self._clock = clock
        self._known: dict[str, ApiKey] | None = None
        self._read_at = -MIN_REFRESH_INTERVAL
        self._is_away = False
        self._reading = asyncio.Lock()

    async def follow(self) -> None:
        """Read the stored keys regularly, forever."""
        while True:
            await self.refresh()
            await asyncio.sleep(REFRESH_INTERVAL)

    async def refresh(self) -> None:
        """Read the stored keys, unless they were read a moment ago."""
        async with self._reading:
            if self._clock() - self._read_at < MIN_REFRESH_INTERVAL:
                return
            try:
                stored = await self._read()
                self._known = {identifier: readable(identifier, text) for identifier, text in stored.items()}
                self._was_any = self._was_any or bool(stored)
                if self._was_any and MARK not in stored:
                    await self._mark()
            except (St2SensorError, TimeoutError) as error:
                if not self._is_away:
                    self._logger.warning("the last known API keys are used: %s", error)
                self._is_away = True
            else:
                self._is_away = False
            self._read_at = self._clock()

    async def is_any(self) -> bool:
        """Return whether a key was ever created. Requests then need a key, even after the last key was revoked or
        deleted.

        The first key takes effect within MIN_REFRESH_INTERVAL. Raises Refusal while the keys are unknown.
        """
        if self._known is not None and not self._was_any and not self._is_away:
            await self.refresh()
        self._seen()
        return self._was_any

    async def is_valid(self, shown: str) -> bool:
        """Return whether a key is valid. Raises Refusal while the keys are unknown."""
        identifier, _, secret = shown.partition(".")
        if identifier not in self._seen():
            # The key may be new.
            await self.refresh()
        key = self._seen().get(identifier)
        return key is not None and key.opens(secret)

    def _seen(self) -> Mapping[str, ApiKey]:
        if self._known is None:
            raise Refusal(503, "the datastore, which holds the API keys, is unavailable", {"Retry-After": "5"})
        return self._known
