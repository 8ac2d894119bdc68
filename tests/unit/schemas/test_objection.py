from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from st2sensor.schemas.dialect import Compiled
from st2sensor.schemas.objection import LONGEST, LONGEST_NAME, bounded, path, short
from tests.plugins.examples import examples
from tests.unit.schemas.test_dialect import SCHEMAS

SECRET = "s3cr3t-value"


@pytest.mark.parametrize(
    ("declared", "payload", "reason"),
    [
        ({"properties": {"n": {"type": "integer"}}}, {"n": SECRET}, "n: is of type string, not integer or null"),
        ({"required": ["a", "b"]}, {}, "lacks the required properties a, b"),
        ({"required": ["a"]}, {}, "lacks the required property a"),
        ({"properties": {"n": {"enum": ["x"]}}, "required": ["n"]}, {"n": SECRET}, "n: is none of the values"),
        (
            {"properties": {"n": {"pattern": "^x"}}, "required": ["n"]},
            {"n": SECRET},
            "n: does not match the pattern ^x",
        ),
        ({"additionalProperties": False}, {"k": SECRET}, "has property k, which the schema lacks"),
        (
            {"additionalProperties": False, "properties": {"n": {}}},
            {"n": 1, "a": 1, "b": 2, "c": 3},
            "has properties a, b, c, which the schema lacks",
        ),
        (
            {"additionalProperties": False},
            {"a": 1, "b": 2, "c": 3, "d": 4},
            "has properties a, b, c and 1 more, which the schema lacks",
        ),
        ({"properties": {"n": {"maximum": 5}}, "required": ["n"]}, {"n": 7331}, "n: is more than 5"),
        (
            {"properties": {"n": {"items": {"type": "string"}}}},
            {"n": ["a", 7331]},
            "n.1: is of type integer, not string",
        ),
    ],
)
def test_a_reason_names_place_and_expectation_but_no_value(declared: Any, payload: Any, reason: str) -> None:
    found = Compiled(declared).objection(payload)
    assert found is not None
    assert found.startswith(reason)
    assert SECRET not in found
    assert "7331" not in found


def test_a_reason_is_short_whatever_the_payload_is() -> None:
    nested: Any = "x"
    declared: Any = {"type": "integer"}
    for number in range(50):
        nested = {f"{number}" * 1000: nested}
        declared = {"properties": {f"{number}" * 1000: declared}}
    for schema, payload in [
        (declared, nested),
        ({"additionalProperties": False}, {f"{number}" * 1000: number for number in range(1000)}),
    ]:
        found = Compiled(schema).objection(payload)
        assert found is not None
        assert len(found) <= LONGEST
        assert "\n" not in found


def test_what_just_fits_is_not_cut() -> None:
    assert path("abcdef") == "a.b.c.d.e.f"
    assert path("abcdefg") == "a.b.c.....e.f.g"
    assert bounded("x" * LONGEST) == "x" * LONGEST
    assert bounded("x" * (LONGEST + 1)) == "x" * (LONGEST - 3) + "..."
    assert short("x" * LONGEST_NAME) == "x" * LONGEST_NAME
    assert short("x" * (LONGEST_NAME + 1)) == "x" * (LONGEST_NAME - 3) + "..."


@settings(max_examples=examples(200), suppress_health_check=list(HealthCheck))
@given(declared=SCHEMAS, values=st.dictionaries(st.sampled_from("abc"), st.just(SECRET) | st.just([SECRET])))
def test_no_reason_quotes_a_value(declared: Any, values: dict[str, Any]) -> None:
    assert SECRET not in (Compiled(declared).objection(values) or "")
