"""Timers on a clock that is set by hand: each time fires once, whatever stops, jumps or is unavailable."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from st2sensor.core_pack.timers.schedule import CRON, DATE, INTERVAL, schedule_of
from st2sensor.core_pack.timers.timekeeper import DATASTORE_RETRY, ORPHANED, TOGETHER, WAKE_INTERVAL, Timekeeper
from st2sensor.errors import DatastoreUnavailable
from st2sensor.testing import MemorySensorService
from tests.plugins.examples import examples

START = datetime(2024, 5, 5, 12, tzinfo=UTC)

LOGGER = logging.getLogger("timers")

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def trigger(trigger_type: str, name: str = "t", **parameters: Any) -> dict[str, Any]:
    return {
        "id": f"id of {name}",
        "ref": f"core.{name}",
        "name": name,
        "pack": "core",
        "type": trigger_type,
        "parameters": parameters,
    }


MINUTELY = trigger(CRON, "minutely", second=0, timezone="UTC")
EVERY_TEN_SECONDS = trigger(INTERVAL, "ten", unit="seconds", delta=10)
AT_NOON_PAST_FIVE = trigger(DATE, "date", date="2024-05-05 12:05:00", timezone="UTC")


class Datastore:
    """A sensor service that records which times were fired, and can be unavailable.

    :ivar refuses: whether calls raise an error instead.
    :ivar loses: whether calls raise an error after they have succeeded.
    :ivar before: a function that is called once, before the next event.
    """

    def __init__(self) -> None:
        self.service = MemorySensorService("core.TimerSensor")
        self.refuses = False
        self.loses = False
        self.before: Callable[[], object] | None = None
        self.fired: list[tuple[str, datetime]] = []

    @property
    def keys(self) -> set[str]:
        return {str(entry.name).partition(":")[2] for entry in self.service.list_values()}

    def of(self, name: str) -> list[datetime]:
        """The times that were fired for a trigger."""
        return [time for key, time in self.fired if key == f"cursor.{name}"]

    def get_value(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask(self.service.get_value, *args, **kwargs)

    def list_values(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask(self.service.list_values, *args, **kwargs)

    def delete_value(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask(self.service.delete_value, *args, **kwargs)

    def compare_and_set(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask(self.service.compare_and_set, *args, **kwargs)

    def dispatch_and_set(self, *args: Any, **kwargs: Any) -> Any:
        before, self.before = self.before, None
        if before is not None:
            before()
        return self._ask(self._fire, *args, **kwargs)

    def _fire(self, events: list[Any], key: str, text: str, **kwargs: Any) -> bool:
        done = self.service.dispatch_and_set(events, key, text, **kwargs)
        if done:
            self.fired.append((key, datetime.fromisoformat(json.loads(text)["after"])))
        return done

    def _ask(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self.refuses:
            raise DatastoreUnavailable("the database is away")
        answer = method(*args, **kwargs)
        if self.loses:
            raise DatastoreUnavailable("the answer is lost")
        return answer


class Clock:
    """A clock that shows the time to which it is set."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


class Stage:
    """A datastore, a clock, and timekeepers on them."""

    def __init__(self) -> None:
        self.datastore = Datastore()
        self.clock = Clock()

    def keeper(self, *triggers: dict[str, Any], policy: str = "once", most: int = 1000) -> Timekeeper:
        """Return a timekeeper that has started."""
        keeper = Timekeeper(self.datastore, LOGGER, clock=self.clock, zone="UTC", policy=policy, most=most)
        for item in triggers:
            keeper.add(item)
        keeper.complete()
        self.settle(keeper)
        return keeper

    def settle(self, keeper: Timekeeper) -> None:
        """Call a timekeeper until it has nothing to do now."""
        while keeper.turn() == 0:
            pass

    def pass_time(self, keeper: Timekeeper, length: timedelta) -> None:
        """Call a timekeeper as the sensor does, for some time."""
        end = self.clock.now + length
        while True:
            wait = timedelta(seconds=keeper.turn())
            if self.clock.now >= end:
                return
            self.clock.now = min(end, self.clock.now + max(wait, timedelta(milliseconds=1)))

    def jump(self, keeper: Timekeeper, length: timedelta) -> list[datetime]:
        """Set the clock, have the timekeeper look at it, and return the times that it then fires."""
        before = len(self.datastore.fired)
        self.clock.now += length
        for _ in range(3):
            self.settle(keeper)
        return [time for _, time in self.datastore.fired[before:]]


@pytest.fixture
def stage() -> Stage:
    return Stage()


def after(*lengths: timedelta) -> list[datetime]:
    return [START + length for length in lengths]


# On time.


def test_an_interval_fires_each_so_often_once(stage: Stage) -> None:
    stage.pass_time(stage.keeper(EVERY_TEN_SECONDS), 35 * SECOND)
    assert stage.datastore.of("ten") == after(10 * SECOND, 20 * SECOND, 30 * SECOND)


def test_cron_fires_at_its_times_once(stage: Stage) -> None:
    stage.pass_time(stage.keeper(MINUTELY), 3.5 * MINUTE)
    assert stage.datastore.of("minutely") == after(MINUTE, 2 * MINUTE, 3 * MINUTE)


def test_a_date_fires_once_and_never_again(stage: Stage) -> None:
    keeper = stage.keeper(AT_NOON_PAST_FIVE)
    stage.pass_time(keeper, 10 * MINUTE)
    assert stage.datastore.of("date") == after(5 * MINUTE)
    assert keeper.turn() == WAKE_INTERVAL
    stage.pass_time(stage.keeper(AT_NOON_PAST_FIVE, policy="all"), MINUTE)
    assert stage.datastore.of("date") == after(5 * MINUTE)


def test_an_event_says_when_and_by_what_it_was_fired(stage: Stage) -> None:
    stage.jump(stage.keeper(EVERY_TEN_SECONDS), 10.5 * SECOND)
    (event,) = stage.datastore.service.dispatched
    assert event.trigger == "core.ten"
    assert event.payload == {
        "executed_at": "2024-05-05 12:00:10.500000+00:00",
        "schedule": {"unit": "seconds", "delta": 10},
    }
    assert event.trace_tag == "st2.IntervalTimer-ten"


def test_it_asks_to_be_called_when_the_next_timer_is_due_and_looks_at_the_clock_every_second(stage: Stage) -> None:
    keeper = stage.keeper(EVERY_TEN_SECONDS, MINUTELY)
    assert keeper.turn() == WAKE_INTERVAL
    stage.clock.now += 9.75 * SECOND
    assert keeper.turn() == 0.25
    assert stage.keeper().turn() == WAKE_INTERVAL


# Missed.


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("skip", []),
        ("once", after(60 * MINUTE)),
        ("all", [START + number * MINUTE for number in range(1, 61)]),
    ],
)
def test_what_was_missed_while_nothing_ran_is_handled_as_configured(
    stage: Stage, policy: str, expected: list[datetime]
) -> None:
    stage.keeper(MINUTELY)
    stage.clock.now += HOUR + 30 * SECOND
    keeper = stage.keeper(MINUTELY, policy=policy)
    assert stage.datastore.of("minutely") == expected
    stage.pass_time(keeper, MINUTE)
    assert stage.datastore.of("minutely") == [*expected, START + 61 * MINUTE]


@pytest.mark.parametrize(("policy", "number"), [("skip", 0), ("once", 1), ("all", 1)])
def test_a_date_that_came_while_nothing_ran_was_missed_too(stage: Stage, policy: str, number: int) -> None:
    stage.keeper(AT_NOON_PAST_FIVE)
    stage.clock.now += DAY
    stage.keeper(AT_NOON_PAST_FIVE, policy=policy)
    stage.keeper(AT_NOON_PAST_FIVE, policy="all")
    assert stage.datastore.of("date") == after(5 * MINUTE)[:number]


@pytest.mark.parametrize("policy", ["skip", "once", "all"])
def test_what_is_a_few_seconds_late_is_on_time_whatever_the_policy(stage: Stage, policy: str) -> None:
    stage.keeper(MINUTELY)
    stage.clock.now += MINUTE + 5 * SECOND
    stage.keeper(MINUTELY, policy=policy)
    assert stage.datastore.of("minutely") == after(MINUTE)


def test_of_all_that_was_missed_so_many_are_fired_at_the_most_the_last_ones(stage: Stage) -> None:
    stage.keeper(MINUTELY)
    stage.clock.now += HOUR
    stage.keeper(MINUTELY, policy="all", most=3)
    assert stage.datastore.of("minutely") == after(58 * MINUTE, 59 * MINUTE, 60 * MINUTE)
    stage.keeper(MINUTELY, policy="all")
    assert len(stage.datastore.fired) == 3


def test_what_was_missed_of_one_timer_does_not_hold_up_others(stage: Stage) -> None:
    stage.keeper(MINUTELY)
    stage.clock.now += DAY
    keeper = Timekeeper(stage.datastore, LOGGER, clock=stage.clock, zone="UTC", policy="all")
    for item in (MINUTELY, AT_NOON_PAST_FIVE, EVERY_TEN_SECONDS):
        keeper.add(item)
    stage.clock.now += 10 * SECOND
    assert keeper.turn() == 0
    assert len(stage.datastore.of("minutely")) == TOGETHER
    stage.clock.now += 10 * SECOND
    keeper.turn()
    assert stage.datastore.of("ten") == [stage.clock.now]
    stage.settle(keeper)
    assert len(stage.datastore.of("minutely")) == 1000


def test_what_is_missed_while_the_datastore_is_away_counts_too(stage: Stage) -> None:
    keeper = stage.keeper(MINUTELY)
    stage.datastore.refuses = True
    stage.jump(keeper, HOUR)
    stage.clock.now += HOUR
    stage.datastore.refuses = False
    stage.settle(keeper)
    assert stage.datastore.of("minutely") == after(2 * HOUR)


def test_what_was_missed_is_said(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.keeper(MINUTELY)
    stage.clock.now += HOUR + 30 * SECOND
    stage.keeper(MINUTELY)
    said = "not fired on time; the last of its due times was 2024-05-05T13:00:00+00:00; events fired now: 1"
    assert caplog.text.count(said) == 1


# Restarts and takeovers.


@pytest.mark.parametrize("policy", ["skip", "once", "all"])
@pytest.mark.parametrize("moment", [59.999, 60.0, 60.001])
def test_a_restart_right_before_or_after_a_time_fires_it_once(stage: Stage, policy: str, moment: float) -> None:
    stage.pass_time(stage.keeper(MINUTELY, policy=policy), moment * SECOND)
    for _ in range(3):
        stage.pass_time(stage.keeper(MINUTELY, policy=policy), 0.5 * SECOND)
    assert stage.datastore.of("minutely") == after(MINUTE)


def test_an_interval_keeps_its_rhythm_over_a_restart(stage: Stage) -> None:
    stage.pass_time(stage.keeper(EVERY_TEN_SECONDS), 4 * SECOND)
    stage.pass_time(stage.keeper(EVERY_TEN_SECONDS), 10 * SECOND)
    stage.pass_time(stage.keeper(EVERY_TEN_SECONDS), 10 * SECOND)
    assert stage.datastore.of("ten") == after(10 * SECOND, 20 * SECOND)


@pytest.mark.parametrize("policy", ["skip", "once", "all"])
def test_two_that_fire_at_the_same_moment_fire_once(stage: Stage, policy: str) -> None:
    one, other = stage.keeper(MINUTELY, policy=policy), stage.keeper(MINUTELY, policy=policy)
    stage.clock.now += MINUTE
    stage.datastore.before = other.turn
    for keeper in (one, other, one):
        keeper.turn()
    assert stage.datastore.of("minutely") == after(MINUTE)
    # Both continue.
    for keeper in (one, other):
        stage.pass_time(keeper, MINUTE)
    assert stage.datastore.of("minutely") == after(MINUTE, 2 * MINUTE, 3 * MINUTE)


def test_one_that_is_overtaken_while_it_makes_up_for_what_was_missed_leaves_the_rest(stage: Stage) -> None:
    one, other = stage.keeper(MINUTELY, policy="all"), stage.keeper(MINUTELY, policy="all")
    stage.clock.now += 20 * MINUTE
    stage.datastore.before = lambda: setattr(stage.datastore, "before", other.turn)
    for keeper in (one, other, one):
        stage.settle(keeper)
    assert stage.datastore.of("minutely") == [START + number * MINUTE for number in range(1, 21)]


STEPS = st.one_of(
    st.tuples(st.just("turn"), st.integers(0, 1)),
    st.tuples(st.just("restart"), st.integers(0, 1)),
    st.tuples(st.just("forward"), st.floats(0, 600)),
    st.tuples(st.just("back"), st.floats(0, 600)),
    st.tuples(st.just("refuses"), st.booleans()),
    st.tuples(st.just("loses"), st.booleans()),
)

TRIGGERS = (MINUTELY, EVERY_TEN_SECONDS, AT_NOON_PAST_FIVE)


def play(stage: Stage, steps: Iterable[tuple[str, Any]], policy: str) -> datetime:
    """Run steps with two timekeepers, then let both recover. Returns the latest time of the clock."""
    keepers = [stage.keeper(*TRIGGERS, policy=policy) for _ in range(2)]
    seen = START
    for step, value in steps:
        if step == "turn":
            keepers[value].turn()
        elif step == "restart":
            keepers[value] = stage.keeper(*TRIGGERS, policy=policy)
        elif step in ("forward", "back"):
            stage.clock.now += value * SECOND * (1 if step == "forward" else -1)
            # A clock that is set back farther was wrong.
            stage.clock.now = max(stage.clock.now, seen - 2 * HOUR)
            seen = max(seen, stage.clock.now)
        else:
            setattr(stage.datastore, step, value)
    stage.datastore.refuses = stage.datastore.loses = False
    stage.clock.now = seen
    for keeper in keepers * 2:
        stage.settle(keeper)
    return seen


def times_of(item: dict[str, Any], until: datetime) -> list[datetime]:
    """Return all times of a trigger up to a moment."""
    schedule = schedule_of(item["type"], item["parameters"], START, "UTC")
    found, moment = [], schedule.after(START)
    while moment is not None and moment <= until:
        found.append(moment)
        moment = schedule.after(moment)
    return found


@settings(max_examples=examples(150))
@given(steps=st.lists(STEPS, max_size=60))
def test_whatever_happens_each_time_is_fired_once(steps: list[tuple[str, Any]]) -> None:
    stage = Stage()
    until = play(stage, steps, "all")
    for item in (MINUTELY, AT_NOON_PAST_FIVE):
        assert stage.datastore.of(item["name"]) == times_of(item, until)
    # An interval continues from the time to which a clock was set back.
    if not any(step == "back" for step, _ in steps):
        assert stage.datastore.of("ten") == times_of(EVERY_TEN_SECONDS, until)


@settings(max_examples=examples(100))
@given(steps=st.lists(STEPS, max_size=60), policy=st.sampled_from(["skip", "once"]))
def test_whatever_happens_no_time_is_fired_twice(steps: list[tuple[str, Any]], policy: str) -> None:
    stage = Stage()
    until = play(stage, steps, policy)
    for item in (MINUTELY, AT_NOON_PAST_FIVE):
        fired = stage.datastore.of(item["name"])
        assert len(set(fired)) == len(fired)
        assert set(fired) <= set(times_of(item, until))
        assert policy == "skip" or fired[-1:] == times_of(item, until)[-1:]


# A clock that jumps.


def test_an_interval_goes_on_from_where_the_clock_was_set_back_to(stage: Stage) -> None:
    keeper = stage.keeper(EVERY_TEN_SECONDS)
    stage.pass_time(keeper, 25 * SECOND)
    assert stage.jump(keeper, -5 * MINUTE) == []
    stage.pass_time(keeper, 25 * SECOND)
    back = START + 25 * SECOND - 5 * MINUTE
    assert stage.datastore.of("ten")[2:] == [back + 10 * SECOND, back + 20 * SECOND]


def test_the_hour_that_a_clock_shows_again_cron_does_not_fire_again(stage: Stage) -> None:
    keeper = stage.keeper(MINUTELY)
    stage.pass_time(keeper, 3 * MINUTE)
    assert stage.jump(keeper, -3 * MINUTE) == []
    stage.pass_time(stage.keeper(MINUTELY, policy="all"), 3.5 * MINUTE)
    assert stage.datastore.of("minutely") == after(MINUTE, 2 * MINUTE, 3 * MINUTE)
    stage.pass_time(keeper, MINUTE)
    assert stage.datastore.of("minutely")[3:] == after(4 * MINUTE)


def test_a_date_that_a_clock_shows_again_does_not_fire_again(stage: Stage) -> None:
    keeper = stage.keeper(AT_NOON_PAST_FIVE)
    stage.pass_time(keeper, 6 * MINUTE)
    stage.jump(keeper, -6 * MINUTE)
    stage.pass_time(keeper, 10 * MINUTE)
    stage.pass_time(stage.keeper(AT_NOON_PAST_FIVE), MINUTE)
    assert stage.datastore.of("date") == after(5 * MINUTE)


def test_a_clock_that_is_set_back_by_hours_was_wrong_and_cron_goes_on(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = stage.keeper(MINUTELY)
    stage.pass_time(keeper, MINUTE)
    assert stage.jump(keeper, -4 * HOUR) == []
    assert (
        "the clock was set back: core.st2.CronTimer core.minutely continues from 2024-05-05T08:01:00+00:00"
        in caplog.text
    )
    stage.pass_time(keeper, 2 * MINUTE)
    assert stage.datastore.of("minutely")[1:] == after(-4 * HOUR + 2 * MINUTE, -4 * HOUR + 3 * MINUTE)


@pytest.mark.parametrize("length", [DAY, 40 * 365 * DAY])
@pytest.mark.parametrize(("policy", "number"), [("skip", 0), ("once", 1), ("all", 1000)])
def test_a_jump_ahead_is_a_miss_of_no_more_than_so_many_times(
    stage: Stage, length: timedelta, policy: str, number: int
) -> None:
    keeper = stage.keeper(MINUTELY, policy=policy)
    fired = stage.jump(keeper, length + 30 * SECOND)
    assert len(set(fired)) == len(fired) == number
    assert fired[-1:] == after(length)[:number]
    stage.pass_time(keeper, MINUTE)
    assert len(stage.datastore.fired) == number + 1


def test_after_a_jump_of_years_ahead_and_back_all_timers_go_on(stage: Stage) -> None:
    keeper = stage.keeper(MINUTELY, EVERY_TEN_SECONDS, policy="skip")
    stage.jump(keeper, 10 * 365 * DAY)
    stage.jump(keeper, -10 * 365 * DAY)
    before = len(stage.datastore.fired)
    stage.pass_time(keeper, MINUTE)
    assert len(stage.datastore.fired) - before == 7


# Triggers that come, change and go.


def test_a_trigger_that_is_removed_fires_no_more_and_its_cursor_goes(stage: Stage) -> None:
    keeper = stage.keeper(MINUTELY, EVERY_TEN_SECONDS)
    assert stage.datastore.keys == {"cursor.minutely", "cursor.ten"}
    keeper.remove(EVERY_TEN_SECONDS)
    stage.pass_time(keeper, MINUTE)
    assert stage.datastore.keys == {"cursor.minutely"}
    assert stage.datastore.of("ten") == []


def test_one_that_is_removed_before_it_was_looked_at_never_begins(stage: Stage) -> None:
    keeper = stage.keeper()
    keeper.add(EVERY_TEN_SECONDS)
    keeper.remove(EVERY_TEN_SECONDS)
    stage.pass_time(keeper, MINUTE)
    assert stage.datastore.keys == set()
    assert stage.datastore.fired == []


def test_cursors_of_triggers_that_went_while_nothing_ran_are_deleted_once_all_are_known(stage: Stage) -> None:
    stage.keeper(MINUTELY, EVERY_TEN_SECONDS, AT_NOON_PAST_FIVE)
    stage.datastore.service.set_value("another key", "stays")
    keeper = Timekeeper(stage.datastore, LOGGER, clock=stage.clock, policy="skip")
    keeper.add(MINUTELY)
    stage.clock.now += ORPHANED + MINUTE
    keeper.turn()
    assert stage.datastore.keys == {"cursor.minutely", "cursor.ten", "cursor.date", "another key"}
    keeper.add(AT_NOON_PAST_FIVE)
    keeper.complete()
    keeper.turn()
    assert stage.datastore.keys == {"cursor.minutely", "cursor.date", "another key"}


def test_a_cursor_that_has_moved_of_late_is_kept_because_its_trigger_may_not_be_known_yet(stage: Stage) -> None:
    stage.keeper(MINUTELY, EVERY_TEN_SECONDS)
    stage.clock.now += ORPHANED - MINUTE
    stage.keeper(MINUTELY)
    assert stage.datastore.keys == {"cursor.minutely", "cursor.ten"}


def test_one_that_comes_back_begins_anew(stage: Stage) -> None:
    keeper = stage.keeper(EVERY_TEN_SECONDS, policy="all")
    keeper.remove(EVERY_TEN_SECONDS)
    stage.pass_time(keeper, MINUTE)
    keeper.add(EVERY_TEN_SECONDS)
    stage.pass_time(keeper, 10 * SECOND)
    assert stage.datastore.of("ten") == after(70 * SECOND)


@pytest.mark.parametrize("restarts", [False, True])
def test_with_other_parameters_a_timer_begins_anew(stage: Stage, restarts: bool) -> None:
    keeper = stage.keeper(EVERY_TEN_SECONDS, policy="all")
    stage.pass_time(keeper, 12 * SECOND)
    changed = {**EVERY_TEN_SECONDS, "parameters": {"unit": "seconds", "delta": 7}}
    if restarts:
        stage.clock.now += MINUTE
        keeper = stage.keeper(changed, policy="all")
    else:
        keeper.add(changed)
    since = stage.clock.now
    stage.pass_time(keeper, 15 * SECOND)
    assert stage.datastore.of("ten")[1:] == [since + 7 * SECOND, since + 14 * SECOND]


def test_a_date_that_is_past_when_it_is_first_heard_of_never_fires_and_says_so(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    past = trigger(DATE, "past", date="2024-05-05 11:59:59", timezone="UTC")
    stage.pass_time(stage.keeper(past, policy="all"), MINUTE)
    stage.pass_time(stage.keeper(past, policy="all"), MINUTE)
    assert stage.datastore.fired == []
    assert "core.st2.DateTimer core.past never fires again" in caplog.text


@pytest.mark.parametrize(
    "broken",
    [
        trigger(CRON, "broken", minute=99),
        trigger(CRON, "broken", timezone="Mars/Phobos"),
        trigger(CRON, "broken", timezone=5),
        trigger(INTERVAL, "broken", unit="seconds"),
        trigger(INTERVAL, "broken", unit="weeks", delta=600_000),
        trigger(DATE, "broken", date="at noon, perhaps"),
    ],
)
def test_a_trigger_that_is_not_a_timer_is_named_and_harms_no_other(
    stage: Stage, caplog: pytest.LogCaptureFixture, broken: dict[str, Any]
) -> None:
    keeper = stage.keeper(broken, MINUTELY)
    stage.pass_time(keeper, MINUTE)
    assert stage.datastore.of("minutely") == after(MINUTE)
    assert caplog.text.count("core.broken of core.st2.") == 1
    assert "is not a valid timer: " in caplog.text
    # It may be corrected.
    keeper.add({**EVERY_TEN_SECONDS, "id": broken["id"], "name": "broken"})
    stage.pass_time(keeper, 10 * SECOND)
    assert len(stage.datastore.of("broken")) == 1


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "[]", "null", '{"start": 5, "after": 6, "parameters": {}}', '{"start": "2024-05-05T12:00:00"}'],
)
def test_with_a_cursor_that_cannot_be_read_a_timer_begins_anew(stage: Stage, text: str) -> None:
    stage.datastore.service.set_value("cursor.ten", text)
    stage.pass_time(stage.keeper(EVERY_TEN_SECONDS), 10 * SECOND)
    assert stage.datastore.of("ten") == after(10 * SECOND)


# A datastore that is unavailable.


@pytest.mark.parametrize("trouble", ["refuses", "loses"])
@pytest.mark.parametrize(("policy", "number"), [("once", 1), ("all", 5)])
def test_while_the_datastore_is_away_timers_wait_and_then_each_time_is_handled_once(
    stage: Stage, caplog: pytest.LogCaptureFixture, trouble: str, policy: str, number: int
) -> None:
    caplog.set_level(logging.INFO)
    keeper = stage.keeper(MINUTELY, policy=policy)
    setattr(stage.datastore, trouble, True)
    stage.clock.now += 5 * MINUTE + 30 * SECOND
    assert [keeper.turn() for _ in range(3)] == [DATASTORE_RETRY] * 3
    setattr(stage.datastore, trouble, False)
    stage.pass_time(keeper, 10 * SECOND)
    fired = stage.datastore.of("minutely")
    assert fired == [START + (5 - missing) * MINUTE for missing in reversed(range(number))]
    assert len(stage.datastore.service.dispatched) == number
    assert caplog.text.count("timers are waiting: ") == 1
    assert caplog.text.count("timers continue") == 1


def test_triggers_that_come_and_go_while_the_datastore_is_away_are_heard_of_later(stage: Stage) -> None:
    keeper = stage.keeper(MINUTELY)
    stage.datastore.refuses = True
    keeper.add(EVERY_TEN_SECONDS)
    keeper.remove(MINUTELY)
    assert keeper.turn() == DATASTORE_RETRY
    stage.datastore.refuses = False
    stage.pass_time(keeper, MINUTE)
    assert stage.datastore.keys == {"cursor.ten"}
    assert {key for key, _ in stage.datastore.fired} == {"cursor.ten"}


def test_a_cursor_that_may_not_be_changed_harms_no_other_timer(stage: Stage) -> None:
    stage.datastore.service.set_value("cursor.ten", "mine", ttl=10_000)
    stage.pass_time(stage.keeper(EVERY_TEN_SECONDS, MINUTELY), MINUTE)
    assert stage.datastore.of("minutely") == after(MINUTE)
