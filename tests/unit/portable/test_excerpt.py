"""Texts with a limit in bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from st2sensor.portable.excerpt import LONGEST_RECORD, shortened


@given(st.text(max_size=400), st.integers(min_value=1, max_value=20))
def test_what_is_shortened_is_never_longer_than_the_bound_and_its_note(text: str, times: int) -> None:
    found = shortened(text * times, 1000)
    if len((text * times).encode("utf-8", "surrogatepass")) <= 1000:
        assert found == text * times
    assert len(found.encode("utf-8", "surrogatepass")) <= 1000 + 60


def test_beginning_and_end_stay_and_the_middle_goes() -> None:
    found = shortened("first line\n" + "z" * 50_000_000 + "\nthe point")
    assert found.startswith("first line")
    assert found.endswith("the point")
    assert "characters are left out" in found
    assert len(found) <= LONGEST_RECORD + 100


@pytest.mark.parametrize("offset", range(20))
def test_no_half_of_a_word_stays_at_the_cut(offset: int) -> None:
    text = "x" * offset + " 0123456789abcdef" * 1000
    assert set(shortened(text, 1000).replace("x", "").split()) <= {
        "0123456789abcdef",
        *["[...", "characters", "are", "left", "out", "...]"],
        *map(str, range(len(text))),
    }
