"""When timers fire: in time zones, where clocks change, and for invalid parameters."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from st2sensor.core_pack.timers.schedule import CRON, DATE, INTERVAL, Schedule, latest, schedule_of
from tests.plugins.examples import examples

START = datetime(2024, 1, 1, tzinfo=UTC)

BERLIN, NEW_YORK, LORD_HOWE, KOLKATA = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"
BEIRUT = "Asia/Beirut"
"""Where clocks are put forward at midnight."""

GAPS = {
    BERLIN: datetime(2024, 3, 31, 1, tzinfo=UTC),
    NEW_YORK: datetime(2024, 3, 10, 7, tzinfo=UTC),
    LORD_HOWE: datetime(2024, 10, 5, 15, 30, tzinfo=UTC),
    BEIRUT: datetime(2024, 3, 30, 22, tzinfo=UTC),
}
"""When clocks are put forward."""

FOLDS = {
    BERLIN: datetime(2024, 10, 27, 1, tzinfo=UTC),
    NEW_YORK: datetime(2024, 11, 3, 6, tzinfo=UTC),
    LORD_HOWE: datetime(2024, 4, 6, 15, tzinfo=UTC),
    BEIRUT: datetime(2024, 10, 26, 21, tzinfo=UTC),
}
"""When clocks are put back."""


def cron(zone: str, **fields: Any) -> Schedule:
    return schedule_of(CRON, {**fields, "timezone": zone}, START, None)


def interval(unit: str, delta: int, start: datetime = START) -> Schedule:
    return schedule_of(INTERVAL, {"unit": unit, "delta": delta}, start, None)


def walk(schedule: Schedule, after: datetime, until: datetime) -> Iterator[datetime]:
    """Yield each time after one moment and not after another, one by one."""
    moment = schedule.after(after)
    while moment is not None and moment <= until:
        yield moment
        moment = schedule.after(moment)


def around(schedule: Schedule, zone: str, change: datetime, hours: float = 4) -> list[str]:
    """Return the clock's readings, with their offset, when a schedule fires around a change."""
    margin = timedelta(hours=hours)
    return [
        moment.astimezone(ZoneInfo(zone)).strftime("%d %H:%M%z")
        for moment in walk(schedule, change - margin, change + margin)
    ]


# Valid parameters.


@pytest.mark.parametrize(
    ("unit", "length"),
    [
        ("seconds", timedelta(seconds=3)),
        ("minutes", timedelta(minutes=3)),
        ("hours", timedelta(hours=3)),
        ("days", timedelta(days=3)),
        ("weeks", timedelta(weeks=3)),
    ],
)
def test_an_interval_counts_from_its_start(unit: str, length: timedelta) -> None:
    start = datetime(2024, 5, 5, 12, 0, 0, 123456, tzinfo=UTC)
    found = list(walk(interval(unit, 3, start), start, start + 4 * length))
    assert found == [start + number * length for number in (1, 2, 3, 4)]


@pytest.mark.parametrize("zone", GAPS)
def test_an_interval_of_days_is_so_many_times_24_hours_whatever_clocks_do(zone: str) -> None:
    schedule = schedule_of(INTERVAL, {"unit": "days", "delta": 1, "timezone": zone}, START, None)
    times = list(walk(schedule, START, START + timedelta(days=366)))
    assert len(times) == 366
    assert {later - earlier for earlier, later in pairwise([START, *times])} == {timedelta(days=1)}


@pytest.mark.parametrize(
    ("date", "zone", "expected"),
    [
        ("2024-07-01 12:00:00", BERLIN, datetime(2024, 7, 1, 10, tzinfo=UTC)),
        ("2024-07-01 12:00:00", KOLKATA, datetime(2024, 7, 1, 6, 30, tzinfo=UTC)),
        ("2024-07-01T12:00:00Z", BERLIN, datetime(2024, 7, 1, 12, tzinfo=UTC)),
        ("2024-07-01T12:00:00+02:00", KOLKATA, datetime(2024, 7, 1, 10, tzinfo=UTC)),
        # A skipped time fires an hour later. A repeated time fires the first time.
        ("2024-03-31 02:30:00", BERLIN, datetime(2024, 3, 31, 1, 30, tzinfo=UTC)),
        ("2024-10-27 02:30:00", BERLIN, datetime(2024, 10, 27, 0, 30, tzinfo=UTC)),
    ],
)
def test_a_date_is_of_its_own_offset_or_else_of_the_time_zone(date: str, zone: str, expected: datetime) -> None:
    schedule = schedule_of(DATE, {"date": date, "timezone": zone}, START, None)
    assert schedule.after(START) == expected
    assert schedule.after(expected - timedelta(microseconds=1)) == expected
    assert schedule.after(expected) is None


def test_a_timer_that_names_no_time_zone_is_of_the_one_that_is_configured() -> None:
    noon = {"hour": 12, "minute": 0}
    assert schedule_of(CRON, noon, START, KOLKATA).after(START) == START.replace(hour=6, minute=30)
    assert schedule_of(CRON, {**noon, "timezone": "UTC"}, START, KOLKATA).after(START) == START.replace(hour=12)
    assert schedule_of(CRON, {**noon, "timezone": None}, START, KOLKATA).after(START) == START.replace(
        hour=6, minute=30
    )
    assert schedule_of(CRON, noon, START, None).after(START) is not None


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"minute": "*/5"}, datetime(2024, 1, 1, 0, 5, tzinfo=UTC)),
        ({"second": "30"}, datetime(2024, 1, 1, 0, 0, 30, tzinfo=UTC)),
        ({"day_of_week": "sun", "hour": 3}, datetime(2024, 1, 7, 3, tzinfo=UTC)),
        ({"day": "last", "hour": 3}, datetime(2024, 1, 31, 3, tzinfo=UTC)),
        ({"month": "2", "day": "29"}, datetime(2024, 2, 29, tzinfo=UTC)),
        ({"week": 10}, datetime(2024, 3, 4, tzinfo=UTC)),
        ({"year": 2030}, datetime(2030, 1, 1, tzinfo=UTC)),
        ({"year": 2020}, None),
        ({"month": 2, "day": 30}, None),
    ],
)
def test_cron_fires_first_where_its_fields_fit(fields: dict[str, Any], expected: datetime | None) -> None:
    assert cron("UTC", **fields).after(START) == expected


# Where clocks change.


@pytest.mark.parametrize(
    ("zone", "hour", "expected"),
    [
        (BERLIN, 2, ["27 02:15+0200"]),
        (NEW_YORK, 1, ["03 01:15-0400"]),
        (LORD_HOWE, 1, ["07 01:45+1100"]),
        (BEIRUT, 23, ["26 23:15+0300"]),
    ],
)
def test_in_the_hour_that_is_repeated_what_has_an_hour_of_its_own_fires_once(
    zone: str, hour: int, expected: list[str]
) -> None:
    minute = 45 if zone == LORD_HOWE else 15
    assert around(cron(zone, hour=hour, minute=minute), zone, FOLDS[zone]) == expected


@pytest.mark.parametrize(
    ("zone", "fields", "expected"),
    [
        (BERLIN, {"hour": 2, "minute": 30}, ["31 03:30+0200"]),
        (BERLIN, {"hour": "2,3", "minute": 30}, ["31 03:30+0200"]),
        (BERLIN, {"hour": "2,3", "minute": "0,45"}, ["31 03:00+0200", "31 03:45+0200"]),
        (BERLIN, {"hour": "2", "minute": "45"}, ["31 03:45+0200"]),
        (NEW_YORK, {"hour": 2, "minute": 0}, ["10 03:00-0400"]),
        (LORD_HOWE, {"hour": 2, "minute": 15}, ["06 02:45+1100"]),
        (LORD_HOWE, {"hour": 2, "minute": 45}, ["06 02:45+1100"]),
        (BEIRUT, {"hour": 0, "minute": 0}, ["31 01:00+0300"]),
        (BEIRUT, {"day": 31}, ["31 01:00+0300"]),
    ],
)
def test_what_falls_into_the_hour_that_is_left_out_fires_once_as_much_later(
    zone: str, fields: dict[str, Any], expected: list[str]
) -> None:
    schedule, change = cron(zone, **fields), GAPS[zone]
    assert around(schedule, zone, change) == expected
    # The answer is the same for any moment.
    (first, *_) = walk(schedule, change - timedelta(microseconds=1), change + timedelta(hours=1))
    assert schedule.after(change - timedelta(hours=1)) == first
    if first > change:
        assert schedule.after(first - timedelta(seconds=1)) == first


@pytest.mark.parametrize("zone", GAPS)
@pytest.mark.parametrize("hour", [None, "*", "*/1"])
def test_what_fires_every_quarter_of_an_hour_goes_on_whatever_clocks_do(zone: str, hour: str | None) -> None:
    schedule = cron(zone, minute="*/15", hour=hour)
    for change in (GAPS[zone], FOLDS[zone]):
        times = list(walk(schedule, change - timedelta(hours=4), change + timedelta(hours=4)))
        assert len(times) == 32
        assert {later - earlier for earlier, later in pairwise(times)} == {timedelta(minutes=15)}


@pytest.mark.parametrize("zone", [*GAPS, KOLKATA, "UTC"])
@pytest.mark.parametrize("hour", [0, 1, 2, 3, 23])
def test_what_fires_once_a_day_fires_on_each_day_of_the_year_once(zone: str, hour: int) -> None:
    local = ZoneInfo(zone)
    first, last = datetime(2024, 1, 1, tzinfo=local), datetime(2025, 1, 1, tzinfo=local)
    times = [time.astimezone(local) for time in walk(cron(zone, hour=hour, minute=30), first, last)]
    assert len({time.date() for time in times}) == len(times) == 366
    odd = [time for time in times if (time.hour, time.minute) != (hour, 30)]
    assert all(abs(time - GAPS[zone]) < timedelta(hours=2) for time in odd)


def test_where_clocks_do_not_change_no_hour_is_odd() -> None:
    schedule = cron(KOLKATA, hour=2, minute=30)
    times = list(walk(schedule, START, START + timedelta(days=366)))
    assert {later - earlier for earlier, later in pairwise(times)} == {timedelta(days=1)}
    assert times[0] == datetime(2024, 1, 1, 21, tzinfo=UTC)


# Invalid parameters.


@pytest.mark.parametrize(
    ("trigger_type", "parameters", "sentence"),
    [
        (CRON, {"minute": 99}, "higher than the maximum value .* in {'minute': 99}"),
        (CRON, {"minute": "soon"}, "Unrecognized expression"),
        (CRON, {"minute": "*/0"}, "Increment must be higher than 0"),
        (CRON, {"minute": "30-10"}, "minimum value in a range"),
        (CRON, {"moon": "full"}, "moon"),
        (CRON, {"timezone": "Mars/Phobos"}, "there is no time zone 'Mars/Phobos'"),
        (CRON, {"timezone": "../etc/passwd"}, "there is no time zone"),
        (CRON, {"timezone": "Europe"}, "there is no time zone"),
        (CRON, {"timezone": 5}, "there is no time zone 5"),
        (INTERVAL, {"unit": "seconds", "delta": 0}, "delta must be 1 or more"),
        (INTERVAL, {"unit": "seconds", "delta": -1}, "delta must be 1 or more"),
        (INTERVAL, {"unit": "seconds", "delta": "often"}, "often"),
        (INTERVAL, {"unit": "fortnights", "delta": 1}, "fortnights"),
        (INTERVAL, {"unit": "start_date", "delta": 1}, "start_date"),
        (INTERVAL, {"unit": "weeks", "delta": 10**9}, "1000000000"),
        (INTERVAL, {"unit": "weeks", "delta": 600_000}, "longer than the calendar"),
        (INTERVAL, {"unit": "days", "delta": 999_999_999}, "999999999"),
        (INTERVAL, {"unit": "weeks", "delta": 10**30}, "delta"),
        (INTERVAL, {"delta": 1}, "unit"),
        (INTERVAL, {"unit": "seconds"}, "delta"),
        (DATE, {"date": "at noon, perhaps"}, "at noon, perhaps"),
        (DATE, {"date": ""}, "does not contain a date"),
        (DATE, {"date": 5}, "5"),
        (DATE, {"date": "9999-12-31T23:59:59-10:00"}, "9999-12-31"),
        (DATE, {}, "date"),
    ],
)
def test_parameters_that_make_no_time_are_refused_with_a_reason(
    trigger_type: str, parameters: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        schedule_of(trigger_type, parameters, START, None)


@pytest.mark.parametrize(
    ("trigger_type", "parameters"),
    [
        (INTERVAL, {"unit": "weeks", "delta": 1}),
        (CRON, {"year": 9999, "month": 12, "day": 31, "hour": 23, "timezone": NEW_YORK}),
        (CRON, {"year": 9999, "month": 12, "day": 31, "minute": 59, "timezone": NEW_YORK}),
    ],
)
def test_what_is_later_than_the_calendar_goes_is_never(trigger_type: str, parameters: dict[str, Any]) -> None:
    schedule = schedule_of(trigger_type, parameters, START, None)
    assert schedule.after(datetime(9999, 12, 31, 23, 59, tzinfo=UTC)) is None


# Generated parameters.

ZONES = st.sampled_from([*GAPS, KOLKATA, "UTC"])

CHANGES = st.sampled_from([*GAPS.values(), *FOLDS.values()])


def field(most: int) -> st.SearchStrategy[str | None]:
    """Generate one of cron's fields, up to a value."""
    numbers = st.lists(st.integers(0, most), min_size=1, max_size=3).map(lambda found: ",".join(map(str, found)))
    return st.one_of(st.none(), st.just("*"), st.integers(1, most).map("*/{}".format), numbers)


SECONDS = st.one_of(st.none(), st.integers(0, 59), st.sampled_from(["0,30", "*/20"]))

CRONS = st.builds(
    lambda zone, hour, minute, second: cron(zone, hour=hour, minute=minute or "0", second=second),
    ZONES,
    field(23),
    field(59),
    SECONDS,
)

INTERVALS = st.builds(
    lambda unit, delta, offset: interval(unit, delta, START + timedelta(microseconds=offset)),
    st.sampled_from(["minutes", "hours", "days"]),
    st.integers(1, 100),
    st.integers(0, 10**12),
)

MOMENTS = st.builds(
    lambda change, seconds: change + timedelta(seconds=seconds), CHANGES, st.floats(-20_000, 20_000, allow_nan=False)
)

SPANS = st.floats(0, 20_000, allow_nan=False).map(lambda seconds: timedelta(seconds=seconds))


@settings(max_examples=examples(200))
@given(schedule=st.one_of(CRONS, INTERVALS), after=MOMENTS, span=SPANS)
def test_times_only_grow_and_are_in_utc(schedule: Schedule, after: datetime, span: timedelta) -> None:
    times = list(walk(schedule, after, after + span))
    assert all(earlier < later for earlier, later in pairwise([after, *times]))
    assert all(time.tzinfo is UTC for time in times)


@settings(max_examples=examples(200))
@given(schedule=st.one_of(CRONS, INTERVALS), after=MOMENTS, span=SPANS)
def test_the_latest_is_the_last_of_a_walk(schedule: Schedule, after: datetime, span: timedelta) -> None:
    assert latest(schedule, after, after + span) == next(reversed(list(walk(schedule, after, after + span))), None)


@settings(max_examples=examples(200))
@given(schedule=st.one_of(CRONS, INTERVALS), after=MOMENTS, span=SPANS)
def test_what_comes_next_does_not_depend_on_when_it_is_asked(
    schedule: Schedule, after: datetime, span: timedelta
) -> None:
    times = list(walk(schedule, after, after + span))
    between = [schedule.after(earlier + (later - earlier) / 2) for earlier, later in pairwise([after, *times])]
    assert between == times


def numbers(text: str | None, most: int) -> set[int]:
    """Return the values of one of cron's fields."""
    if text is None or text.startswith("*"):
        return set(range(0, most + 1, int((text or "*")[2:] or 1)))
    return set(map(int, text.split(",")))


def minute_by_minute(zone: str, hour: str | None, minute: str, change: datetime) -> list[datetime]:
    """Return the times around a change, found by looking at a clock each minute, and at the skipped times."""
    local, span, step = ZoneInfo(zone), timedelta(hours=6), timedelta(minutes=1)
    hours, minutes = numbers(hour, 23), numbers(minute, 59)
    goes_on = (hour or "*").startswith("*") or minute.startswith("*")
    found, moment = set(), change - span
    before = (change - step).astimezone(local).utcoffset() or timedelta(0)
    while moment < change + span:
        moment += step
        shown = moment.astimezone(local)
        if shown.hour in hours and shown.minute in minutes and (goes_on or not shown.fold):
            found.add(moment)
        # The time on a clock that was not put forward.
        kept = (moment + before).replace(tzinfo=None)
        is_left_out = kept.replace(tzinfo=local).astimezone(UTC).astimezone(local).replace(tzinfo=None) != kept
        if is_left_out and kept.hour in hours and kept.minute in minutes:
            found.add(moment)
    return sorted(found)


@settings(max_examples=examples(300))
@given(zone=st.sampled_from(list(GAPS)), changes=st.sampled_from([GAPS, FOLDS]), hour=field(23), minute=field(59))
def test_where_clocks_change_times_are_those_that_somebody_finds_who_looks_each_minute(
    zone: str, changes: dict[str, datetime], hour: str | None, minute: str | None
) -> None:
    change, span = changes[zone], timedelta(hours=6)
    found = list(walk(cron(zone, hour=hour, minute=minute or "0"), change - span, change + span))
    assert found == minute_by_minute(zone, hour, minute or "0", change)


def test_the_latest_of_many_years_is_found_at_once() -> None:
    asked = 0

    class Counted:
        def after(self, moment: datetime) -> datetime | None:
            nonlocal asked
            asked += 1
            return schedule.after(moment)

    schedule = cron(BERLIN, second="*")
    until = START + timedelta(days=365 * 50)
    assert latest(Counted(), START, until) == until
    assert asked < 200
