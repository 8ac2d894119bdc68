"""Finds values that a file may hold but no database can store, with their place in the file.

The embedded database accepts more than MongoDB does, but the content of packs must fit both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from st2sensor.errors import ContentError
from st2sensor.packs.yaml_files import File

INTEGERS = range(-(2**63), 2**63)
"""The whole numbers of 8 bytes."""

DEEPEST = 100
"""Maximum number of levels of nesting."""

HALF = "half of a surrogate pair, which UTF-8 cannot represent; write the character itself"

Place = tuple[str | int, ...]


def problems(file: File) -> Iterator[ContentError]:
    """Return an error for each value in a file that cannot be stored."""
    for place, problem in _problems(file.data, ()):
        named = ".".join(_clean(str(part)) for part in place)
        yield file.error(f"{named}: {problem}" if named else problem, place)


def check(file: File) -> None:
    """Raise ContentError for the first value that cannot be stored."""
    for problem in problems(file):
        raise problem


def _problems(value: Any, place: Place) -> Iterator[tuple[Place, str]]:
    if len(place) > DEEPEST:
        yield place[:3], f"is nested more than {DEEPEST} levels deep, which no database can store; flatten it"
    elif isinstance(value, dict):
        for key, part in value.items():
            if "\0" in key:
                yield place, "has a key with a NUL character, which no database can store; remove it"
            elif not _is_utf8(key):
                yield place, f"has a key that holds {HALF}"
            else:
                yield from _problems(part, (*place, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _problems(part, (*place, index))
    elif isinstance(value, str):
        if not _is_utf8(value):
            yield place, f"holds {HALF}"
    elif isinstance(value, int) and value not in INTEGERS:
        yield place, "is a number of more than 8 bytes, which no database can store; write it as text, or as a float"


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _clean(text: str) -> str:
    return text.encode(errors="replace").decode()
