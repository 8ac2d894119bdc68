from __future__ import annotations

import pytest

from st2sensor.backoff import FIRST_RECONNECT, JITTER, delay, reconnect


@pytest.mark.parametrize(("failures", "seconds"), [(1, 1.0), (2, 2.0), (4, 8.0), (5, 10.0), (10_000, 10.0)])
def test_a_delay_doubles_up_to_its_cap(failures: int, seconds: float) -> None:
    assert delay(failures, first=1.0, cap=10.0, jitter=0.0) == seconds


def test_jitter_shortens_and_lengthens_by_its_share_at_most() -> None:
    found = [delay(1, first=10.0, cap=10.0, jitter=0.5) for _ in range(1000)]
    assert 5.0 <= min(found) < 7.5 < 12.5 < max(found) <= 15.0


def test_a_cap_below_the_first_reconnect_wins() -> None:
    cap = FIRST_RECONNECT / 10
    assert reconnect(1, cap) <= cap * (1 + JITTER)
