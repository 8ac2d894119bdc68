"""Secrets in texts that are shown or logged are replaced by a mask."""

from __future__ import annotations

import json
from collections.abc import Iterable

MASK = "********"

SHORTEST_SECRET = 4
"""Characters; shorter ones are not masked: they are in every other word."""


def masked(text: str, secrets: frozenset[str]) -> str:
    """Text with every secret replaced."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def lines(secrets: Iterable[str]) -> frozenset[str]:
    """What is looked for in a log, which is written line by line."""
    return frozenset(line for secret in secrets for line in secret.splitlines() if len(line) >= SHORTEST_SECRET)


def forms(secrets: Iterable[str]) -> frozenset[str]:
    """Secrets as messages of Python's and JSON's show them, too."""
    return frozenset(
        form
        for secret in secrets
        for form in (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1])
        if len(secret) >= SHORTEST_SECRET
    )
