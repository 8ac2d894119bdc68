"""The part of a long list that a screen shows."""

from __future__ import annotations

import pytest

from st2sensor.cli.inspection.window import Window


@pytest.mark.parametrize(
    ("keys", "first"),
    [
        ("", 0),
        ("down", 1),
        ("down,down,up", 1),
        ("up", 0),
        ("page down", 9),
        ("page down,page up", 0),
        ("end", 90),
        ("end,down", 90),
        ("end,up", 89),
        ("end,home", 0),
        ("unknown", 0),
    ],
)
def test_keys_move_the_window_within_the_list(keys: str, first: int) -> None:
    window = Window().fitted(100, 10)
    for key in filter(None, keys.split(",")):
        window = window.moved(key, 100)
    assert (window.first, window.room) == (first, 10)


def test_a_window_follows_a_list_that_shrinks_and_a_screen_that_grows() -> None:
    window = Window().fitted(100, 10).moved("end", 100)
    assert window.fitted(50, 10).first == 40
    assert window.fitted(100, 40).first == 60
    assert window.fitted(5, 10) == Window(first=0, room=10)
    assert window.fitted(5, -3) == Window(first=4, room=1)


def test_a_hint_counts_the_hidden_rows() -> None:
    window = Window().fitted(100, 10).moved("down", 100)
    assert window.hint(100, True) == "2 to 11 of 100, 90 not shown: arrows, PgUp, PgDn scroll, q ends"
    assert window.hint(100, False).endswith("90 not shown: top --once shows all")
    assert Window().fitted(10, 10).hint(10, True) == ""
    assert Window().fitted(0, 10).hint(0, True) == ""
