"""The keys of a rule's criteria: paths into a payload, such as `trigger.disk['free space'][0].size`.

StackStorm reads them as JSONPath. This module reads names, quoted names, indexes, slices and `*`, which is what its
guide shows (https://docs.stackstorm.com/rules.html).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

QUOTED = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
NAME = r"[A-Za-z_@][\w@-]*"
INSIDE = rf"\s*(?:{QUOTED}|{NAME}|-?\d+|-?\d*:-?\d*|\*)\s*"
STEP = re.compile(rf"\.(?:(?P<dotted>{NAME}|{QUOTED}|\*))|\[(?P<inside>{INSIDE}(?:,{INSIDE})*)\]")
PART = re.compile(rf"{QUOTED}|[^,\s]+")
FIRST = re.compile(NAME)

MARK = "#"
"""Everything after it is ignored, so that two criteria can name one value."""

DOT, DOLLAR = "\uff0e", "\uff04"
"""Characters that stand for `.` and `$` in the keys of StackStorm's documents."""

Step = str | int | slice | None
"""A name, an index, a slice, or None for every item."""


class BadPath(ValueError):
    """A key is not a path that this module can read."""


def plain(key: str) -> str:
    """Return a key of a stored document as the rule's file has it."""
    return key.replace(DOT, ".").replace(DOLLAR, "$")


def parsed(key: str) -> tuple[tuple[Step, ...], ...]:
    """Return the steps of a key. Each is a choice of one or more ways. Raises BadPath."""
    text = key.partition(MARK)[0].strip()
    first = FIRST.match(text)
    if first is None:
        raise BadPath(f"{key!r} does not begin with a name, as trigger.NAME does")
    steps: list[tuple[Step, ...]] = [(first[0],)]
    place = first.end()
    while place < len(text):
        found = STEP.match(text, place)
        if found is None:
            raise BadPath(f"{key!r} cannot be read after {text[:place]!r}: write .NAME, ['NAME'] or [0]")
        dotted = found["dotted"]
        try:
            steps.append((_step(dotted),) if dotted else tuple(map(_step, PART.findall(found["inside"]))))
        except ValueError:
            # Python does not read very long numbers.
            raise BadPath(f"{key[:40]!r} has a number that is too long") from None
        place = found.end()
    return tuple(steps)


def _step(text: str) -> Step:
    if text[0] in "'\"":
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    if text == "*":
        return None
    if ":" in text:
        start, _, stop = text.partition(":")
        return slice(int(start) if start else None, int(stop) if stop else None)
    return int(text) if text.lstrip("-").isdigit() else text


def values(key: str, context: Mapping[str, Any]) -> list[Any]:
    """Return the values at a key, in order; empty if there are none. Raises BadPath."""
    found: list[Any] = [context]
    for step in parsed(key):
        found = [value for place in found for way in step for value in _reached(place, way)]
    return found


def _reached(place: Any, way: Step) -> list[Any]:
    if isinstance(way, str):
        return [place[way]] if isinstance(place, Mapping) and way in place else []
    if way is None and isinstance(place, Mapping):
        return list(place.values())
    if not isinstance(place, list):
        return [place] if way is None or isinstance(way, slice) else []
    if way is None:
        return place
    if isinstance(way, slice):
        return place[way]
    return [place[way]] if -len(place) <= way < len(place) else []
