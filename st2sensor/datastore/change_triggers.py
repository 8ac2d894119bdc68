"""The triggers that announce a change of the datastore, as StackStorm emits them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from st2sensor.masking import MASK
from st2sensor.models import Change, KeyValue
from st2sensor.portable import isotime

CREATE, UPDATE, VALUE_CHANGE, DELETE = (
    f"core.st2.key_value_pair.{kind}" for kind in ("create", "update", "value_change", "delete")
)


def triggers_of(change: Change) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the references and payloads of a change's triggers, in the same order as StackStorm."""
    old, new = change.old, change.new
    if new is None:
        if old is not None:
            yield DELETE, {"object": _object(old)}
    elif old is None:
        yield CREATE, {"object": _object(new)}
    else:
        yield UPDATE, {"object": _object(new)}
        if old.value != new.value:
            yield VALUE_CHANGE, {"old_object": _object(old), "new_object": _object(new)}


def _object(entry: KeyValue) -> dict[str, Any]:
    """Return an entry in the form of StackStorm's API."""
    fields: dict[str, Any] = {
        "uid": entry.uid,
        "scope": entry.scope,
        "name": entry.name,
        "value": MASK if entry.secret else entry.value,
        "secret": entry.secret,
    }
    if entry.expire_timestamp is not None:
        fields["expire_timestamp"] = isotime.format(entry.expire_timestamp, offset=False)
    return {**fields, "id": entry.id, "encrypted": entry.secret}
