"""Fields of documents that anybody may have written: each is what it should be, or the document is odd.

A backend gives values as JSON has them, times as datetime, and everything else as Foreign.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from st2sensor.portable import isotime

Document = dict[str, Any]

LONGEST_NAME = 255
"""Characters of what may be part of a file's name."""

DEEPEST = 200
"""Levels of nesting, of which MongoDB stores fewer."""

BROKEN = "\0broken"
"""Key of a document that could not be read at all; its value says why."""


class Misfit(ValueError):
    """A document is odd. :param field: where; :param problem: how, without what the field holds."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field} {problem}")


@dataclass(frozen=True, slots=True, eq=False)
class Foreign:
    """A value that JSON has no form for.

    :param kind: what it is, for people; :param shown: what stands for it where JSON is needed.
    """

    kind: str
    shown: Any


KINDS: dict[type, str] = {
    str: "text",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
    datetime: "a date",
}


def kind_of(value: Any) -> str:
    """What a value is, for people."""
    return (
        value.kind if isinstance(value, Foreign) else KINDS.get(type(value), f"a value of type {type(value).__name__}")
    )


def shown(identifier: Any) -> str:
    """The id of a document, whatever it is, as text."""
    return str(json_form(identifier))


def text(document: Mapping[str, Any], name: str) -> str:
    """A field that has to be text. Raises Misfit."""
    value = _present(document, name)
    if type(value) is not str:
        raise Misfit(name, f"is {kind_of(value)}, and must be text")
    if not value.isascii() and not is_utf8(value):
        raise Misfit(name, "is no valid UTF-8")
    return value


def optional_text(document: Mapping[str, Any], name: str) -> str | None:
    """The same, which may be missing or null."""
    return None if document.get(name) is None else text(document, name)


def identity(document: Mapping[str, Any], name: str, *, in_paths: bool = False) -> str:
    """A name or a part of a reference. Raises Misfit.

    :param in_paths: files and folders are named after it.
    """
    value = text(document, name)
    if not value:
        raise Misfit(name, "is empty")
    if in_paths and not value.isprintable():
        raise Misfit(name, "holds characters that cannot be printed")
    if in_paths and ("/" in value or value.startswith(".") or len(value) > LONGEST_NAME):
        raise Misfit(name, "cannot be the name of a file")
    return value


def flag(document: Mapping[str, Any], name: str, default: bool | None) -> Any:
    """A field that is true or false. Raises Misfit. :param default: where it is missing or null."""
    value = document.get(name)
    if value is None:
        return default
    if type(value) is not bool:
        raise Misfit(name, f"is {kind_of(value)}, and must be true or false")
    return value


def number(
    document: Mapping[str, Any], name: str, *, above: float = -math.inf, least: float = -math.inf
) -> float | None:
    """A finite number, if there is one. Raises Misfit.

    :param above: what it must exceed; :param least: what it must be at least.
    """
    value = document.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Misfit(name, f"is {kind_of(value)}, and must be a number")
    if not math.isfinite(value):
        raise Misfit(name, "is no finite number")
    if value <= above or value < least:
        raise Misfit(name, f"must be {f'more than {above:g}' if value <= above else f'at least {least:g}'}")
    return value


def whole(document: Mapping[str, Any], name: str, *, least: int | None = None, most: int | None = None) -> int | None:
    """A whole number, if there is one; databases may keep it as 1.0. Raises Misfit."""
    value = number(document, name, least=-math.inf if least is None else least)
    if value is None:
        return None
    if value != int(value):
        raise Misfit(name, "is no whole number")
    if most is not None and value > most:
        raise Misfit(name, f"must be at most {most}")
    return int(value)


def choice(document: Mapping[str, Any], name: str, choices: tuple[str, ...]) -> str | None:
    """One of some words, if there is one. Raises Misfit."""
    value = optional_text(document, name)
    if value is not None and value not in choices:
        raise Misfit(name, f"must be one of {', '.join(choices)}")
    return value


def texts(document: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A list of texts; empty where it is missing or null. Raises Misfit."""
    return tuple(text({name: item}, name) for item in _items(document, name))


def optional_texts(document: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    """Return a list of texts, if there is one. Raises Misfit."""
    return None if document.get(name) is None else texts(document, name)


def mappings(document: Mapping[str, Any], name: str) -> tuple[Document, ...]:
    """A list of objects, in their JSON form; empty where it is missing or null. Raises Misfit."""
    return tuple(mapping({name: item}, name) or {} for item in _items(document, name))


def optional_mappings(document: Mapping[str, Any], name: str) -> tuple[Document, ...] | None:
    """Return a list of objects in their JSON form, if there is one. Raises Misfit."""
    return None if document.get(name) is None else mappings(document, name)


def mapping(document: Mapping[str, Any], name: str) -> Document | None:
    """An object in its JSON form, if there is one. Raises Misfit."""
    try:
        value = json_form(document.get(name))
    except RecursionError as exception:
        raise Misfit(name, f"is nested more than {DEEPEST} levels deep") from exception
    if value is not None and not isinstance(value, dict):
        raise Misfit(name, f"is {kind_of(value)}, and must be an object")
    return value


def moment(document: Mapping[str, Any], name: str) -> datetime | None:
    """A time, if there is one; one without a zone is in UTC. Raises Misfit."""
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise Misfit(name, f"is {kind_of(value)}, and must be a date")
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value


def json_form(value: Any, depth: int = 0) -> Any:
    """A value as JSON, in which StackStorm shows times and ids as text. A number that JSON has no form for is null.

    :param depth: how far down in a document it stands. Raises RecursionError beyond DEEPEST.
    """
    if depth > DEEPEST:
        raise RecursionError
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return value if value.isascii() or is_utf8(value) else value.encode("utf-8", "replace").decode()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {json_form(key): json_form(part, depth + 1) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_form(part, depth + 1) for part in value]
    if isinstance(value, datetime):
        return isotime.format(value, offset=False)
    return json_form(value.shown)


def is_utf8(value: str) -> bool:
    """Whether UTF-8 has a form for a text: half of a surrogate pair has none, and no database takes it."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _present(document: Mapping[str, Any], name: str) -> Any:
    value = document.get(name)
    if value is None:
        raise Misfit(name, "is missing" if name not in document else "is null")
    return value


def _items(document: Mapping[str, Any], name: str) -> list[Any]:
    value = document.get(name)
    if value is None:
        return []
    if not isinstance(value, (list, tuple)):
        raise Misfit(name, f"is {kind_of(value)}, and must be a list")
    return list(value)
