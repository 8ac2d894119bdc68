"""Signatures in the scheme of Standard Webhooks 1.0, https://www.standardwebhooks.com."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence

PREFIX = "whsec_"

LEAST, MOST = 16, 64
"""Bytes of a secret. The scheme asks for 24 to 64; a few services make shorter ones."""


def secret_of(text: str) -> bytes:
    """Return the bytes of a secret that is written as whsec_BASE64. Raises ValueError, without the secret."""
    try:
        secret = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not text.startswith(PREFIX) or not LEAST <= len(secret) <= MOST:
        raise ValueError(f"a secret is {PREFIX} and {LEAST} to {MOST} bytes in base64")
    return secret


def signed(secrets: Sequence[bytes], message_id: str, at: int, body: bytes) -> Mapping[str, str]:
    """Return the headers that sign a message.

    :param secrets: one secret, or several while a secret is being replaced: the receiver needs to know only one of
        them.
    :param at: when it is sent, in seconds since the epoch.
    """
    content = f"{message_id}.{at}.".encode() + body
    signatures = [base64.b64encode(hmac.digest(secret, content, "sha256")).decode() for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
