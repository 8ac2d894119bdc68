"""Escape control characters in untrusted text before it is printed."""

from __future__ import annotations

import re

STEERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters except tab and newline, marks that change the writing direction, and lone surrogates."""

BREAKS = str.maketrans({"\n": "\\n", "\t": "\\t"})


def printable(text: str) -> str:
    """Return text with unprintable characters escaped as in Python. Tabs and newlines are kept."""
    return STEERS.sub(_escape, text)


def in_line(text: str) -> str:
    """Return text as one line: tabs and newlines are escaped as well."""
    return printable(text).translate(BREAKS)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
