from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from st2sensor.expectations.rhythm import FEWEST_GAPS, poll_expectation, rhythm
from tests.unit.expectations.rhythms import DAY, HOUR, KINDS, MONTH, sensors

HALF = MONTH / 2

SENSORS = 1000


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in (2, 3, 4, 5))])
def test_a_healthy_month_of_a_thousand_sensors_gives_at_most_one_false_alarm(seed: int) -> None:
    proposed, alarms = Counter[str](), Counter[str]()
    for kind, times in sensors(SENSORS, seed):
        value = rhythm([at for at in times if at < HALF], HALF).event
        if value is None:
            continue
        proposed[kind] += 1
        heard = max((at for at in times if at < HALF), default=HALF)
        for at in [*(at for at in times if at >= HALF), MONTH]:
            alarms[kind] += at - heard >= value
            heard = at
    assert alarms.total() <= 1, alarms
    # A rule that proposes nothing raises no alarm, either.
    assert min(proposed[kind] for kind in KINDS) >= 0.98 * SENSORS / len(KINDS), proposed


def test_a_month_of_sensors_that_stop_is_noticed_soon() -> None:
    """A rule that proposes years raises no alarm, either."""
    for kind, times in sensors(100, seed=1):
        first = [at for at in times if at < HALF]
        value = rhythm(first, HALF).event
        if value is not None:
            longest = max(later - earlier for earlier, later in pairwise(first))
            assert value <= 20 * longest, kind
            if kind == "periodic":
                assert value <= 2 * longest + 60
            if kind in ("daily", "weekly"):
                assert value <= 12 * DAY


def test_a_period_is_exceeded_by_half() -> None:
    found = rhythm([number * HOUR for number in range(50)], 49.5 * HOUR)
    assert (found.events, found.usual, found.longest) == (50, HOUR, HOUR)
    assert found.event == 90 * 60


def test_too_few_events_give_no_proposal() -> None:
    assert rhythm([], 1.0).event is None
    assert rhythm([5.0], 100.0).longest is None
    few = [number * 60.0 for number in range(FEWEST_GAPS)]
    assert rhythm(few, 600.0).event is None
    assert rhythm([*few, FEWEST_GAPS * 60.0], 600.0).event is not None


def test_the_order_of_the_times_does_not_matter() -> None:
    times = [number * 60.0 + number % 7 for number in range(30)]
    assert rhythm(times, 2000.0) == rhythm(times[::-1], 2000.0)


def test_the_gap_at_the_end_is_shown_but_proposes_nothing() -> None:
    times = [number * 60.0 for number in range(30)]
    dead, alive = rhythm(times, 100_000.0), rhythm(times, times[-1])
    assert dead.longest == 100_000.0 - times[-1]
    assert dead.event == alive.event


def test_a_poll_may_be_missed_a_few_times() -> None:
    assert poll_expectation(5.0) == 60.0
    assert poll_expectation(30.0, 10.0) == 240.0
