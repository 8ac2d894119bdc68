"""Text that others have written, as a terminal may be given it: what would steer the terminal is spelled out."""

from __future__ import annotations

import re

STEERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls but tab and newline, what turns the direction of writing, and halves of pairs, which have no encoding."""

BREAKS = str.maketrans({"\n": "\\n", "\t": "\\t"})


def printable(text: str) -> str:
    """Text of any number of lines, with escapes as in Python for what is not printable."""
    return STEERS.sub(_escape, text)


def in_line(text: str) -> str:
    """The same in one line: newlines and tabs are escaped, too."""
    return printable(text).translate(BREAKS)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
