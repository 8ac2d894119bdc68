"""Keys that senders of webhooks show, and how they are stored: hashed, in the datastore of `core.WebhookSensor`.

A key is `ID.SECRET`. Its secret is 256 random bits, so that one round of SHA-256 keeps it: nobody can guess.
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
"""Of the datastore's keys, before the key's id."""

AGE = 5.0
"""Seconds between two looks that nobody asks for: so long a revoked key may still be taken."""

PAUSE = 0.5
"""Seconds between two looks, at the least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """:param id: what people call it by.
    :param digest: of its secret, in hexadecimal.
    :param note: what it is for.
    :param created: as in `2026-01-31T12:00:00.000000Z`; `revoked` likewise, None for a key that is valid.
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
        """The key, revoked."""
        return replace(self, revoked=self.revoked or now)

    def opens(self, secret: str) -> bool:
        """Whether it is valid, and this its secret."""
        return hmac.compare_digest(_digest(secret), self.digest) and self.revoked is None


def made(note: str, now: str) -> tuple[ApiKey, str]:
    """A new key, and the text that senders show."""
    identifier, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    return ApiKey(id=identifier, digest=_digest(secret), note=note, created=now), f"{identifier}.{secret}"


def from_text(identifier: str, text: str) -> ApiKey:
    """A key as it was stored. Raises ValueError."""
    try:
        key = ApiKey(id=identifier, **json.loads(text))
    except (TypeError, RecursionError) as exception:
        raise ValueError(str(exception)) from exception
    if not all(isinstance(field, str) for field in (key.digest, key.note, key.created, key.revoked or "")):
        raise ValueError("a field is no text")
    return key


def readable(identifier: str, text: str) -> ApiKey:
    """A key as it was stored; one that cannot be read opens nothing, and still counts as one."""
    try:
        return from_text(identifier, text)
    except ValueError:
        return ApiKey(id=identifier, digest="", note="unreadable", created="", revoked="unreadable")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


class ApiKeys:
    """The keys that the sensor knows. For the loop's thread.

    :param read: gives what is stored, by id. While it raises St2SensorError, what was known counts.
    :param clock: gives seconds.
    """

    def __init__(
        self, read: Callable[[], Awaitable[Mapping[str, str]]], logger: Logger, clock: Callable[[], float] = monotonic
    ) -> None:
        self._read = read
        self._logger = logger
        self._clock = clock
        self._known: dict[str, ApiKey] | None = None
        self._read_at = -PAUSE
        self._is_away = False
        self._reading = asyncio.Lock()

    async def follow(self) -> None:
        """Keep up with what is stored, for ever."""
        while True:
            await self.refresh()
            await asyncio.sleep(AGE)

    async def refresh(self) -> None:
        """Look what is stored, unless somebody has looked a moment ago."""
        async with self._reading:
            if self._clock() - self._read_at < PAUSE:
                return
            try:
                stored = await self._read()
                self._known = {identifier: readable(identifier, text) for identifier, text in stored.items()}
            except St2SensorError as error:
                if not self._is_away:
                    self._logger.warning("API keys are as they were last seen: %s", error)
                self._is_away = True
            else:
                self._is_away = False
            self._read_at = self._clock()

    def is_any(self) -> bool:
        """Whether a key was ever made: one that was revoked must not open the door to all. Raises Refusal."""
        return bool(self._seen())

    async def is_valid(self, shown: str) -> bool:
        """Whether a key may be used. Raises Refusal while that cannot be known."""
        identifier, _, secret = shown.partition(".")
        if identifier not in self._seen():
            # Made a moment ago, perhaps.
            await self.refresh()
        key = self._seen().get(identifier)
        return key is not None and key.opens(secret)

    def _seen(self) -> Mapping[str, ApiKey]:
        if self._known is None:
            raise Refusal(503, "the datastore, which holds the API keys, is away", {"Retry-After": "5"})
        return self._known
