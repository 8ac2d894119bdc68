"""Decodes any BSON into values that `fields` can read."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.binary import OLD_UUID_SUBTYPE, UUID_SUBTYPE, UuidRepresentation
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS

from st2sensor.storage.fields import Document, Foreign

TOLERANT: CodecOptions[Document] = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    unicode_decode_error_handler="surrogateescape",
    uuid_representation=UuidRepresentation.UNSPECIFIED,
)
"""Decodes every document. Dates beyond Python's range and invalid UTF-8 stay recognizable."""


def plain(document: Mapping[str, Any] | None) -> Document | None:
    """Convert a decoded document to JSON values, datetimes and Foreign objects."""
    return None if document is None else {name: _plain(value) for name, value in document.items()}


def all_plain(documents: Iterable[Mapping[str, Any]]) -> Iterator[Document]:
    """Convert decoded documents, as `plain` does."""
    for document in documents:
        yield {name: _plain(value) for name, value in document.items()}


def _plain(value: Any) -> Any:
    if type(value) in (str, bool, int, float, datetime, type(None)):
        return value
    if isinstance(value, Int64):
        return int(value)
    if isinstance(value, DBRef):
        # In JSON this is an object with $ref and $id, usually a schema.
        return _plain(value.as_doc())
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return _foreign(value)


def _foreign(value: Any) -> Foreign:
    match value:
        case ObjectId() | Decimal128():
            return Foreign(f"a value of type {type(value).__name__}", str(value))
        case Binary() if value.subtype in (OLD_UUID_SUBTYPE, UUID_SUBTYPE) and len(value) == 16:
            return Foreign("a UUID", str(value.as_uuid(_representation(value))))
        case bytes():
            return Foreign("binary data", base64.b64encode(value).decode())
        case Regex():
            return Foreign("a regular expression", value.pattern if isinstance(value.pattern, str) else None)
        case Timestamp():
            return Foreign("a timestamp", value.as_datetime())
        case DatetimeMS():
            return Foreign("a date out of range", int(value))
        case Code():
            return Foreign("code", str(value))
        case MinKey() | MaxKey():
            return Foreign(f"a value of type {type(value).__name__}", type(value).__name__)
    return Foreign(f"a value of type {type(value).__name__}", str(value))


def _representation(value: Binary) -> int:
    return UuidRepresentation.STANDARD if value.subtype == UUID_SUBTYPE else UuidRepresentation.PYTHON_LEGACY
