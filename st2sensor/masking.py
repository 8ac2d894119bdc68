"""Masks secrets in texts that are shown or logged."""

from __future__ import annotations

import json
from collections.abc import Iterable

MASK = "********"
"""Stands for the value of a secret, as in StackStorm."""

SHORTEST_SECRET = 4
"""Number of characters of the shortest secret that is masked. Shorter secrets occur in ordinary words."""


def masked(text: str, secrets: frozenset[str]) -> str:
    """Return a text with every secret replaced."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def lines(secrets: Iterable[str]) -> frozenset[str]:
    """Return the lines of all secrets, because a log is written line by line."""
    return frozenset(line for secret in secrets for line in secret.splitlines() if len(line) >= SHORTEST_SECRET)


def forms(secrets: Iterable[str]) -> frozenset[str]:
    """Return secrets as they are, and in the forms in which messages of Python and JSON show them."""
    return frozenset(
        form
        for secret in secrets
        for form in (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1])
        if len(secret) >= SHORTEST_SECRET
    )
