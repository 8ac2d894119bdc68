"""Checks signatures, which prove that the sender of a request knows the secret of its URL."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from st2sensor.core_pack.webhooks.refusal import Refusal

AGE = 300
"""Seconds that a signed time may differ from now, as in Slack's guide. An older request may be a replay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The parts of a request that are signed.

    :param headers: a mapping that ignores the case of names.
    :param body: the body as received.
    :param now: the current time, in seconds since 1970.
    """

    headers: Mapping[str, str]
    body: bytes
    now: float


def github(request: Request, secret: bytes, header: str | None) -> None:
    """Check `X-Hub-Signature-256: sha256=HEX` of the body; the prefix may be missing. Raises Refusal."""
    shown = request.headers.get(header or "X-Hub-Signature-256", "")
    _compare(shown.removeprefix("sha256="), secret, request.body, header or "X-Hub-Signature-256")


def slack(request: Request, secret: bytes, header: str | None) -> None:
    """Check `X-Slack-Signature: v0=HEX` of version, `X-Slack-Request-Timestamp` and body. Raises Refusal."""
    sent = request.headers.get("X-Slack-Request-Timestamp", "")
    if not (sent.isascii() and sent.isdigit() and len(sent) < 12) or abs(request.now - int(sent)) > AGE:
        raise Refusal(401, f"X-Slack-Request-Timestamp is missing, or more than {AGE} seconds from now")
    name = header or "X-Slack-Signature"
    _compare(request.headers.get(name, "").removeprefix("v0="), secret, f"v0:{sent}:".encode() + request.body, name)


SCHEMES: dict[str, Callable[[Request, bytes, str | None], None]] = {"github": github, "slack": slack}
"""Each raises Refusal for a signature that is missing or wrong."""


def _compare(shown: str, secret: bytes, signed: bytes, header: str) -> None:
    wanted = hmac.new(secret, signed, hashlib.sha256).hexdigest()
    # Compare bytes, because headers may hold any character.
    if not hmac.compare_digest(shown.lower().encode("utf-8", "surrogateescape"), wanted.encode()):
        raise Refusal(401, f"the signature in {header} is missing, or was not made with this URL's secret")
