"""Limits the length of texts, in bytes. A long text loses its middle, because the point of a traceback is at its end.

Standard library only, CPython 3.9: this module is part of the wrapper.
"""

from __future__ import annotations

LONGEST_RECORD = 65536
"""Maximum number of bytes of a log record, as UTF-8."""

SEAM = 200
"""How many characters next to a cut are searched for a blank.

No part of a word is kept, because it may be part of a secret.
"""


def shortened(text: str, longest: int = LONGEST_RECORD) -> str:
    """Return the text, or its beginning and end with a note on the omitted middle.

    :param longest: the maximum number of bytes, not counting the note.
    """
    if len(text) * 4 <= longest or (len(text) <= longest and _size(text) <= longest):
        return text
    head, tail = _first(text[:longest], longest // 2), _last(text[-longest:], longest // 2)
    return f"{head} [... {len(text) - len(head) - len(tail)} characters are left out ...] {tail}"


def _first(text: str, longest: int) -> str:
    cut = text.encode("utf-8", "surrogatepass")[:longest].decode("utf-8", "ignore")
    blank = max(cut.rfind(" ", len(cut) - SEAM), cut.rfind("\n", len(cut) - SEAM))
    return cut[: blank if blank > 0 else len(cut) - SEAM]


def _last(text: str, longest: int) -> str:
    cut = text.encode("utf-8", "surrogatepass")[-longest:].decode("utf-8", "ignore")
    blanks = [blank for blank in (cut.find(" ", 0, SEAM), cut.find("\n", 0, SEAM)) if blank >= 0]
    return cut[min(blanks) + 1 if blanks else SEAM :]


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
