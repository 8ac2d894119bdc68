"""Ids of messages."""

from __future__ import annotations

import re

from st2sensor.dispatch.message_id import SLOT, message_id
from st2sensor.outbox.gate import is_derived


def test_ids_grow_with_time_and_begin_again_after_weeks() -> None:
    assert message_id(0, 5) == f"{5:032x}"
    assert message_id(SLOT * 0xABCDE + 3.9, (1 << 108) - 1) == "abcde" + "f" * 27
    assert message_id(SLOT * ((1 << 20) + 2), 0) == "00002" + "0" * 27
    at = 1_800_000_000.0
    assert message_id(at, 1)[:5] < message_id(at + SLOT, 0)[:5]


def test_ids_are_unique_and_of_one_form() -> None:
    made = {message_id(1_800_000_000.25) for _ in range(1000)}
    assert len(made) == 1000
    assert all(re.fullmatch("[0-9a-f]{32}", text) for text in made)
    # Ids that follow from an event's key are told apart by this.
    assert not any(map(is_derived, made))
    # A clock that is before 1970 is no obstacle.
    assert re.fullmatch("[0-9a-f]{32}", message_id(-5.0))
