"""A result of `why`: one fact in words, with its remedy."""

from __future__ import annotations

from dataclasses import dataclass

CAUSE, NOTE = "cause", "note"
"""Levels: something that keeps a rule from firing; and something that may matter, or that is in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A fact.

    :param code: its name, for programs; see docs/events.md.
    :param text: the fact as a sentence, without a full stop.
    :param remedy: what to do, as a sentence without a full stop; empty for nothing.
    :param rule: reference of the rule that it is about; None for none.
    """

    code: str
    level: str
    text: str
    remedy: str = ""
    rule: str | None = None


def cause(code: str, text: str, remedy: str = "", rule: str | None = None) -> Finding:
    """Return something that keeps a rule from firing. Where the text ends with the remedy, it is not said twice."""
    return Finding(code=code, level=CAUSE, text=text.removesuffix(f"; {remedy}"), remedy=remedy, rule=rule)


def note(code: str, text: str, remedy: str = "", rule: str | None = None) -> Finding:
    """Return something that may matter, or that is in order."""
    return Finding(code=code, level=NOTE, text=text, remedy=remedy, rule=rule)
