from __future__ import annotations

import enum
import json
import math
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from st2sensor.errors import Undeliverable
from st2sensor.portable.payload import TAG, for_stackstorm, objects, pack, plain
from st2sensor.transport import rules_engine


class Colour(enum.Enum):
    RED = "red"


class Colours(enum.Enum):
    BOTH = {"red": 1}  # noqa: RUF012 (what no set holds)


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.datetimes()
    | st.dates()
    | st.times()
    | st.uuids()
    | st.decimals(allow_nan=False)
    | st.frozensets(st.integers() | st.tuples(st.text(), st.tuples(st.integers())) | st.frozensets(st.text())).map(set)
)
KEYS = st.text() | st.just(TAG) | st.just("value")
PAYLOADS = st.dictionaries(
    KEYS, st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=12)
)


@given(payload=PAYLOADS)
def test_objects_come_back_as_they_were_by_way_of_json(payload: dict[str, Any]) -> None:
    assert objects(json.loads(json.dumps(pack(payload), allow_nan=False))) == payload


@given(payload=PAYLOADS)
def test_the_plain_form_is_json(payload: dict[str, Any]) -> None:
    json.dumps(plain(json.loads(json.dumps(pack(payload)))), allow_nan=False)


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (datetime(2020, 1, 2, tzinfo=UTC), "2020-01-02T00:00:00+00:00"),
        (date(2020, 1, 2), "2020-01-02"),
        (time(3, 4), "03:04:00"),
        (b"hi", "aGk="),
        (bytearray(b"hi"), "aGk="),
        ({1}, [1]),
        (frozenset({(1, 2)}), [[1, 2]]),
        (Decimal("1.50"), "1.50"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (math.inf, None),
        (Colour.RED, "red"),
        ((1, 2), [1, 2]),
        ({1: "a", None: "b", False: "c", Colour.RED: "d"}, {"1": "a", "null": "b", "false": "c", "red": "d"}),
        ({b"hi": 1, Decimal("1.50"): 2, date(2020, 1, 2): 3}, {"aGk=": 1, "1.50": 2, "2020-01-02": 3}),
        ({Colours.BOTH}, [{"red": 1}]),
    ],
)
def test_each_type_has_its_json_form(value: Any, form: Any) -> None:
    assert plain(pack({"x": value})) == {"x": form}


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (b"hi", "aGk="),
        (bytearray(b"hi"), "aGk="),
        (Decimal("1.50"), "1.50"),
        (time(3, 4, tzinfo=UTC), "03:04:00+00:00"),
        (time(3, 4), time(3, 4)),
        (datetime(2020, 1, 2, tzinfo=UTC), datetime(2020, 1, 2, tzinfo=UTC)),
        (datetime(2020, 1, 2), datetime(2020, 1, 2)),
        (date(2020, 1, 2), date(2020, 1, 2)),
        (UUID(int=1), UUID(int=1)),
        ({1, (2, 3)}, {1, (2, 3)}),
        ({b"hi", Decimal(1)}, {"aGk=", "1"}),
        ({frozenset({1})}, [{1}]),
        ({((frozenset({1}),),)}, [[[{1}]]]),
        ({Colours.BOTH}, [{"red": 1}]),
        ([{"a": b"hi"}], [{"a": "aGk="}]),
        (math.inf, math.inf),
    ],
    ids=range(16),
)
def test_stackstorm_gets_the_objects_that_its_rules_engine_stores_and_the_json_form_of_others(
    value: Any, form: Any
) -> None:
    found = for_stackstorm(json.loads(json.dumps(pack({"x": value}))))
    assert found == {"x": form}
    assert type(found["x"]) is type(form)


@given(payload=PAYLOADS)
def test_whatever_travels_can_be_stored_by_stackstorm_but_for_long_integers_and_nul_in_keys(
    payload: dict[str, Any],
) -> None:
    sent = for_stackstorm(pack(payload))
    reason = None
    try:
        rules_engine.check({"trigger": "p.t", "payload": sent, "trace_context": None})
    except Undeliverable as error:
        reason = str(error)
    assert reason is None or "more than 64 bits" in reason or "NUL character in a key" in reason


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({"a": {"b": [1, object()]}}, r"payload\['a'\]\['b'\]\[1\] cannot be dispatched: its type is object"),
        ({"a": {(1, 2): 3}}, r"payload\['a'\] has the key \(1, 2\), a tuple"),
        ([print], r"payload\[0\] cannot be dispatched"),
    ],
)
def test_what_cannot_travel_is_named(payload: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        pack(payload)


def test_more_than_json_may_be_nested_as_deeply_as_json() -> None:
    deep: Any = {"raw": b"hi"}
    for level in range(800):
        deep = {"a": deep} if level % 2 else [deep]
    packed = pack(deep)
    for found in (plain(packed), for_stackstorm(packed), objects(packed)):
        levels = 0
        while "raw" not in found:
            found, levels = found["a"] if isinstance(found, dict) else found[0], levels + 1
        assert levels == 800


def test_a_payload_that_contains_itself_is_refused() -> None:
    payload: dict[str, Any] = {}
    payload["self"] = payload
    with pytest.raises(TypeError, match="contains itself"):
        pack(payload)
