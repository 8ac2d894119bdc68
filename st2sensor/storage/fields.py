"""Reads fields of documents, which any program may have written. A wrong field makes its document malformed.

Backends pass values of JSON as they are, times as datetime, and everything else as Foreign.
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
"""Maximum number of characters of a name that becomes part of a file name."""

DEEPEST = 200
"""Maximum number of levels of nesting. MongoDB stores fewer."""

BROKEN = "\0broken"
"""Key in the stand-in for an unreadable document. Its value is the reason."""


class Misfit(ValueError):
    """A document is malformed.

    :param field: name of the wrong field.
    :param problem: the problem, in words that follow the name; its value is not quoted.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field} {problem}")


@dataclass(frozen=True, slots=True, eq=False)
class Foreign:
    """A value that JSON cannot express.

    :param kind: description of its type, for messages, with an article.
    :param shown: value that replaces it in JSON.
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
    """Describe the type of a value, for messages."""
    return (
        value.kind if isinstance(value, Foreign) else KINDS.get(type(value), f"a value of type {type(value).__name__}")
    )


def shown(identifier: Any) -> str:
    """Return the id of a document as text. The id may have any type."""
    return str(json_form(identifier))


def text(document: Mapping[str, Any], name: str) -> str:
    """Return a required text. Raises Misfit."""
    value = _present(document, name)
    if type(value) is not str:
        raise Misfit(name, f"is {kind_of(value)}, but must be text")
    if not value.isascii() and not is_utf8(value):
        raise Misfit(name, "is not valid UTF-8")
    return value


def optional_text(document: Mapping[str, Any], name: str) -> str | None:
    """Return a text, or None if it is missing or null. Raises Misfit."""
    return None if document.get(name) is None else text(document, name)


def identity(document: Mapping[str, Any], name: str, *, in_paths: bool = False) -> str:
    """Return a name or a part of a reference. Raises Misfit.

    :param in_paths: whether files and folders are named after it.
    """
    value = text(document, name)
    if not value:
        raise Misfit(name, "is empty")
    if in_paths and not value.isprintable():
        raise Misfit(name, "contains characters that cannot be printed")
    if in_paths and ("/" in value or value.startswith(".") or len(value) > LONGEST_NAME):
        raise Misfit(name, "cannot be the name of a file")
    return value


def flag(document: Mapping[str, Any], name: str, default: bool | None) -> Any:
    """Return a boolean. Raises Misfit.

    :param default: value if the field is missing or null.
    """
    value = document.get(name)
    if value is None:
        return default
    if type(value) is not bool:
        raise Misfit(name, f"is {kind_of(value)}, but must be true or false")
    return value


def number(
    document: Mapping[str, Any], name: str, *, above: float = -math.inf, least: float = -math.inf
) -> float | None:
    """Return a finite number, or None if it is missing or null. Raises Misfit.

    :param above: number that it must exceed.
    :param least: smallest allowed number.
    """
    value = document.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Misfit(name, f"is {kind_of(value)}, but must be a number")
    if not math.isfinite(value):
        raise Misfit(name, "is not a finite number")
    if value <= above or value < least:
        raise Misfit(name, f"must be {f'more than {above:g}' if value <= above else f'at least {least:g}'}")
    return value


def whole(document: Mapping[str, Any], name: str, *, least: int | None = None, most: int | None = None) -> int | None:
    """Return a whole number, which may be stored as 1.0; None if it is missing or null. Raises Misfit."""
    value = number(document, name, least=-math.inf if least is None else least)
    if value is None:
        return None
    if value != int(value):
        raise Misfit(name, "is not a whole number")
    if most is not None and value > most:
        raise Misfit(name, f"must be at most {most}")
    return int(value)


def choice(document: Mapping[str, Any], name: str, choices: tuple[str, ...]) -> str | None:
    """Return a text that must be one of some words, or None if it is missing or null. Raises Misfit."""
    value = optional_text(document, name)
    if value is not None and value not in choices:
        raise Misfit(name, f"must be one of {', '.join(choices)}")
    return value


def texts(document: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return a list of texts; empty if it is missing or null. Raises Misfit."""
    return tuple(text({name: item}, name) for item in _items(document, name))


def optional_texts(document: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    """Return a list of texts, or None if it is missing or null. Raises Misfit."""
    return None if document.get(name) is None else texts(document, name)


def mappings(document: Mapping[str, Any], name: str) -> tuple[Document, ...]:
    """Return a list of objects in their JSON form; empty if it is missing or null. Raises Misfit."""
    return tuple(mapping({name: item}, name) or {} for item in _items(document, name))


def optional_mappings(document: Mapping[str, Any], name: str) -> tuple[Document, ...] | None:
    """Return a list of objects in their JSON form, or None if it is missing or null. Raises Misfit."""
    return None if document.get(name) is None else mappings(document, name)


def mapping(document: Mapping[str, Any], name: str) -> Document | None:
    """Return an object in its JSON form, or None if it is missing or null. Raises Misfit."""
    try:
        value = json_form(document.get(name))
    except RecursionError as exception:
        raise Misfit(name, f"is nested more than {DEEPEST} levels deep") from exception
    if value is not None and not isinstance(value, dict):
        raise Misfit(name, f"is {kind_of(value)}, but must be an object")
    return value


def moment(document: Mapping[str, Any], name: str) -> datetime | None:
    """Return a time, or None if it is missing or null. A time without a zone is in UTC. Raises Misfit."""
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise Misfit(name, f"is {kind_of(value)}, but must be a date")
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value


def json_form(value: Any, depth: int = 0) -> Any:
    """Return a value as JSON.

    As in StackStorm, times and ids become text. A number that JSON cannot express becomes null.

    Raises RecursionError for more than DEEPEST levels.

    :param depth: levels of nesting above the value.
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
    """Return whether UTF-8 can encode a text. No database accepts half a surrogate pair."""
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
        raise Misfit(name, f"is {kind_of(value)}, but must be a list")
    return list(value)
