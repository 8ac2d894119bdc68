"""The check of a payload, as a worker process makes it."""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, datetime
from typing import Any

import pytest

from st2sensor.portable.event_key import key_of
from st2sensor.portable.payload import pack, plain
from st2sensor.schemas import checks
from st2sensor.schemas.checks import KEPT, UNKNOWN_SCHEMA, check

NUMBER = {"properties": {"n": {"type": "integer", "required": True}}}


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> OrderedDict[str, Any]:
    """The compiled schemas of a process that has just started."""
    compiled: OrderedDict[str, Any] = OrderedDict()
    monkeypatch.setattr(checks, "_compiled", compiled)
    return compiled


def test_a_payload_that_fits_has_no_problem_and_another_is_refused_without_a_quote() -> None:
    assert check("p.t", "d", NUMBER, False, (), {"n": 1}) == {"problem": None, "key": None}
    assert check("p.t", "d", NUMBER, False, (), {"n": "secret"}) == {
        "problem": "the payload does not fit the payload_schema of p.t: n: is of type string, not integer",
        "key": None,
    }


def test_a_schema_is_sent_once_and_then_known_by_its_digest() -> None:
    assert check("p.t", "d", None, False, (), {"n": 1}) is UNKNOWN_SCHEMA
    check("p.t", "d", NUMBER, False, (), {"n": 1})
    assert check("p.t", "d", None, False, (), {"n": "x"})["problem"]
    assert check("p.t", "other", None, False, (), {"n": 1}) is UNKNOWN_SCHEMA


def test_a_type_without_a_schema_takes_every_object() -> None:
    assert check("p.t", "", None, False, ("payload.n",), {"n": 1}) == {
        "problem": None,
        "key": key_of(("payload.n",), {"n": 1}),
    }


def test_what_is_no_object_is_answered_with_its_kind() -> None:
    assert check("p.t", "d", NUMBER, False, ("payload.n",), [1]) == {"kind": "array"}


def test_a_payload_with_more_than_json_is_checked_as_plain_json() -> None:
    declared = {"properties": {"when": {"type": "string", "required": True}}}
    when = datetime(2026, 1, 2, tzinfo=UTC)
    assert check("p.t", "d", declared, True, ("payload.when",), pack({"when": when})) == {
        "problem": None,
        "key": key_of(("payload.when",), {"when": plain(pack(when))}),
    }


def test_the_schemas_that_were_used_longest_ago_are_forgotten(known: OrderedDict[str, Any]) -> None:
    for number in range(KEPT):
        check("p.t", f"{number}", NUMBER, False, (), {"n": 1})
    check("p.t", "0", None, False, (), {"n": 1})
    check("p.t", "one more", NUMBER, False, (), {"n": 1})
    assert len(known) == KEPT
    assert "1" not in known
    assert check("p.t", "0", None, False, (), {"n": 1}) == {"problem": None, "key": None}
