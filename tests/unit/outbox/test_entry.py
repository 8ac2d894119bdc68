"""Which entries can be stored, and how large they are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from st2sensor.outbox.entry import INTEGERS, ROW_OVERHEAD, flaw_of, size_of
from tests.unit.outbox.test_outbox import entry


def test_the_size_of_an_entry_counts_the_bytes_of_its_body() -> None:
    assert size_of(replace(entry(1), body="abc")) == 3 + len("p.t") + ROW_OVERHEAD
    assert size_of(replace(entry(1), body="\u00e4bc")) == 4 + len("p.t") + ROW_OVERHEAD


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"body": "\u00e4"},
        {"created": 5},
        {"fence": 7},
        {"fence": INTEGERS[0]},
        {"fence": INTEGERS[-1], "reason": "\u00e4"},
        {"reason": "it does not fit"},
    ],
    ids=repr,
)
def test_a_sound_entry_has_no_flaw(fields: dict[str, Any]) -> None:
    assert flaw_of(replace(entry(1), **fields)) == ""


@pytest.mark.parametrize(
    ("fields", "flaw"),
    [
        ({"message_id": 5}, "its message_id is int, not text"),
        ({"body": "\ud800"}, "its body holds lone surrogates"),
        ({"created": float("inf")}, "its `created` is not a finite number of seconds"),
        ({"created": True}, "its `created` is not a finite number of seconds"),
        ({"fence": INTEGERS[-1] + 1}, "its fence is not an integer of 8 bytes"),
        ({"fence": True}, "its fence is not an integer of 8 bytes"),
        ({"fence": 1.0, "reason": "no"}, "its fence is not an integer of 8 bytes"),
        ({"reason": 5}, "its reason is not text"),
        ({"reason": "\udfff", "fence": 1}, "its reason is not text"),
    ],
    ids=repr,
)
def test_a_flaw_is_told_without_a_quote(fields: dict[str, Any], flaw: str) -> None:
    assert flaw_of(replace(entry(1), **fields)) == flaw
