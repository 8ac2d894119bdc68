"""Times, sizes and counts as people read them."""

from __future__ import annotations

import pytest

from st2sensor.cli.text import units


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-5, "0 ms"), (0.2, "200 ms"), (0.9999, "1 s"), (59.9, "59.9 s"), (59.9999, "1 min"), (11520, "3 h 12 min")],
)
def test_spans_are_told_by_their_largest_units(seconds: float, shown: str) -> None:
    assert units.span(seconds) == shown


def test_things_are_counted() -> None:
    assert [units.count(number, "key") for number in range(3)] == ["0 keys", "1 key", "2 keys"]
