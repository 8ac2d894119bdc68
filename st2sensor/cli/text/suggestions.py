"""Names that the user may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

CLOSE, CLOSE_PART = 0.6, 0.8
"""Similarity of two names, and of their last parts, from 0 to 1, above which one may be a misspelling of the other."""

MOST = 3
"""Names that a message suggests."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a message, such as `; did you mean p.S?`; empty if no known name is similar."""
    whole = {item.casefold(): item for item in known}
    # Only the pack may be wrong.
    parts = {item.rpartition(".")[2]: item for item in whole}
    wanted = name.casefold()
    close = difflib.get_close_matches(wanted, whole, n=MOST, cutoff=CLOSE)
    last = wanted.rpartition(".")[2]
    close += [parts[part] for part in difflib.get_close_matches(last, parts, n=MOST, cutoff=CLOSE_PART)]
    found = list(dict.fromkeys(whole[item] for item in close))[:MOST]
    return f"; did you mean {' or '.join(found)}?" if found else ""
