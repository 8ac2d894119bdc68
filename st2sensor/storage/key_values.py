"""Converts entries of the datastore to documents and back. Reading raises Misfit for a wrong field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from st2sensor.models import KeyValue
from st2sensor.storage.fields import Document, flag, moment, shown, text

KEY_VALUES = "key_value_pair_d_b"

LAST_CHARACTER = "\U0010ffff"
FIRST_SURROGATE, AFTER_SURROGATES = 0xD800, 0xE000


def key_value_document(entry: KeyValue) -> Document:
    """Return an entry's document, without its id."""
    return {
        "uid": entry.uid,
        "scope": entry.scope,
        "name": entry.name,
        "value": entry.value,
        "secret": entry.secret,
        "expire_timestamp": entry.expire_timestamp,
    }


def key_value(document: Mapping[str, Any]) -> KeyValue:
    """Return the entry in a document. Raises Misfit, and KeyError for a document without an id."""
    return KeyValue(
        id=shown(document["_id"]),
        scope=text(document, "scope"),
        name=text(document, "name"),
        value=text(document, "value"),
        secret=flag(document, "secret", False),
        expire_timestamp=moment(document, "expire_timestamp"),
    )


def end_of_prefix(prefix: str) -> str | None:
    """Return the first text, in the order of code points, after all texts with a prefix; None if there is none."""
    kept = prefix.rstrip(LAST_CHARACTER)
    if not kept:
        return None
    following = ord(kept[-1]) + 1
    # Surrogates are not characters: no stored text contains one.
    return kept[:-1] + chr(AFTER_SURROGATES if following == FIRST_SURROGATE else following)
