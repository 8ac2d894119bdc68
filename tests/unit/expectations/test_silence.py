"""Thirty silent failures, each reported within two expected intervals, and nothing before the failure.

Each failure is a story told minute by minute to the rule: what the sensor does as long as it is well, and afterwards.
The moment of the failure and the sensor's own jitter come from a fixed seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from st2sensor.expectations.duration import duration
from st2sensor.expectations.silence import EVENT, LONGEST_SPAN, POLL, after, merged, must_store, words
from st2sensor.models import Expectation, Silence

MINUTE, HOUR = 60.0, 3600.0

LOOK = 10.0
"""Seconds between two looks."""

NEW = Silence(pack="p", name="S")


@dataclass(slots=True)
class World:
    """A sensor and what it depends on, at one moment.

    :ivar wall: seconds by which the host's clock is wrong.
    :ivar broken: whether the failure has happened.
    """

    chance: random.Random
    now: float = 0.0
    wall: float = 0.0
    broken: bool = False


Does = Callable[[World], set[str]]
"""Returns what a sensor does at a moment: `poll` for a poll that succeeds, `event` for an event."""


def well(world: World) -> set[str]:
    """Poll each minute, and find something in about every fifth poll."""
    return {POLL, EVENT} if world.chance.random() < 0.2 else {POLL}


def nothing(_: World) -> set[str]:
    return set()


def finds_nothing(_: World) -> set[str]:
    return {POLL}


def jumps(seconds: float, does: Does) -> Does:
    def jumped(world: World) -> set[str]:
        world.wall = seconds
        return does(world)

    return jumped


def some(share: float, does: Does) -> Does:
    """Do it in a share of the polls; the others raise."""
    return lambda world: does(world) if world.chance.random() < share else set()


def lives_again(does: Does) -> Does:
    """A supervisor restarts it again and again; each life does what it does."""
    return lambda world: does(world) if int(world.now / MINUTE) % 3 == 0 else set()


FAILURES: dict[str, Does] = {
    # Its polls succeed and find nothing.
    "an empty list after a revoked token": finds_nothing,
    "a frozen cursor": finds_nothing,
    "a cursor in the future": finds_nothing,
    "a swallowed exception in poll": finds_nothing,
    "a filter that no longer matches a renamed field": finds_nothing,
    "a login page instead of JSON, parsed as no items": finds_nothing,
    "a file that was rotated away under an open handle": finds_nothing,
    "a project that was archived": finds_nothing,
    "a page of results that is cached by a proxy": finds_nothing,
    "a dead worker thread behind a living poll": finds_nothing,
    "a full queue between two threads of the sensor": finds_nothing,
    "a dispatch that is skipped because of a wrong deduplication": finds_nothing,
    "a clock jump of a year forwards, so that everything is old": jumps(365 * 86400.0, finds_nothing),
    "a clock jump of a year backwards, so that everything is new": jumps(-365 * 86400.0, finds_nothing),
    "a time zone that moved the window of a query": jumps(HOUR, finds_nothing),
    # Its polls fail, or do not end.
    "a hang in DNS": nothing,
    "a hang in a TLS handshake": nothing,
    "a read without a timeout": nothing,
    "a deadlock of two locks": nothing,
    "a poll that raises each time": nothing,
    "an endless loop over pages": nothing,
    "a mount that does not answer": nothing,
    "a process that was stopped with SIGSTOP": nothing,
    "a poll interval that was set to a week": nothing,
    # It has no polls at all.
    "a dead thread of a passive sensor": nothing,
    "a subscription that the server has dropped": nothing,
    "a run() that has returned": nothing,
    "a crash loop before the first poll": nothing,
    # It still does a little.
    "a crash loop that restarts it and finds nothing": lives_again(finds_nothing),
    "a rate limit that lets one poll in ten pass, and finds nothing": some(0.1, finds_nothing),
}


def looks(world: World, does: Does) -> Iterator[set[str]]:
    """Yield what the sensor does in each look, for two expected intervals of events after the failure and more."""
    begin = world.chance.uniform(0, MINUTE)
    while True:
        world.now += LOOK
        is_due = (world.now - begin) % MINUTE < LOOK
        yield (does if world.broken else well)(world) if is_due else set()


def test_there_are_thirty() -> None:
    assert len(FAILURES) == 30


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("seed", range(3))
def test_a_silent_failure_is_reported_within_two_expected_intervals(failure: str, seed: int) -> None:
    world = World(chance=random.Random(f"{failure} {seed}"))
    expected = Expectation(event=HOUR, poll=10 * MINUTE)
    fails_at = world.chance.uniform(3 * HOUR, 12 * HOUR)
    known = NEW
    silent_at: dict[str, float] = {}
    for heard in looks(world, FAILURES[failure]):
        known = after(known, LOOK, heard, expected, 1e9 + world.now + world.wall)
        if world.now < fails_at:
            assert known.missing == (), "it is well"
        else:
            world.broken = True
            for name in known.missing:
                silent_at.setdefault(name, world.now)
        if world.now >= fails_at + 3 * HOUR:
            break
    assert silent_at[EVENT] - fails_at <= 2 * HOUR
    if FAILURES[failure] is nothing:
        assert silent_at[POLL] - fails_at <= 20 * MINUTE
    elif FAILURES[failure] is finds_nothing:
        assert POLL not in silent_at, "a poll that finds nothing has not failed"


@pytest.mark.parametrize("jump", [-86400.0 * 365, -HOUR, HOUR, 86400.0 * 365])
def test_a_jump_of_the_clock_raises_no_alarm_and_hides_none(jump: float) -> None:
    expected = Expectation(event=HOUR)
    known = after(NEW, LONGEST_SPAN, {EVENT}, expected, 1e9)
    for number in range(359):
        known = after(known, LOOK, set(), expected, 1e9 + number * LOOK + jump)
        assert known.missing == ()
    known = after(known, LOOK, set(), expected, 1e9 + 7.0)
    assert known.missing == (EVENT,)
    assert known.since == 1e9 + 7.0


def test_a_silence_keeps_its_beginning_until_it_ends() -> None:
    expected = Expectation(event=10.0, poll=10.0)
    known = after(NEW, 10.0, {POLL}, expected, 100.0)
    assert (known.missing, known.since) == ((EVENT,), 100.0)
    known = after(known, 10.0, set(), expected, 110.0)
    assert (known.missing, known.since) == ((EVENT, POLL), 100.0)
    known = after(known, 1.0, {EVENT}, expected, 111.0)
    assert (known.missing, known.since) == ((POLL,), 100.0)
    known = after(known, 1.0, {POLL}, expected, 112.0)
    assert (known.missing, known.since) == ((), None)


def test_a_long_span_counts_only_in_part_and_a_negative_one_not_at_all() -> None:
    assert after(NEW, 1e6, set(), Expectation(event=60.0), 0.0).event == LONGEST_SPAN
    assert after(NEW, -5.0, set(), Expectation(event=60.0), 0.0).event == 0.0


def test_nothing_expected_is_never_missed() -> None:
    assert after(NEW, 10.0, set(), Expectation(), 0.0).missing == ()
    assert after(NEW, 10.0, set(), Expectation(event=100.0), 0.0).missing == ()


@pytest.mark.parametrize(
    ("stored", "now", "must"),
    [
        (Silence(pack="p", name="S"), Silence(pack="p", name="S", event=59.0), False),
        (Silence(pack="p", name="S"), Silence(pack="p", name="S", event=60.0), True),
        (Silence(pack="p", name="S", event=60.0), Silence(pack="p", name="S", event=1.0), True),
        (Silence(pack="p", name="S"), Silence(pack="p", name="S", poll=1e6), False),
        (Silence(pack="p", name="S"), Silence(pack="p", name="S", missing=("event",)), True),
    ],
)
def test_a_state_is_stored_seldom(stored: Silence, now: Silence, must: bool) -> None:
    assert must_store(stored, now, Expectation(event=600.0)) is must


def test_a_stored_state_goes_on_unless_the_sensor_was_heard_meanwhile() -> None:
    stored, known = Silence(pack="p", name="S", event=50.0, poll=9.0), Silence(pack="p", name="S", event=2.0, poll=1.0)
    assert merged(None, known, {EVENT}) is known
    assert merged(stored, known, set()) == Silence(pack="p", name="S", event=52.0, poll=10.0)
    assert merged(stored, known, {EVENT}) == Silence(pack="p", name="S", event=2.0, poll=10.0)


def test_what_is_missing_is_told_in_words() -> None:
    expected = Expectation(event=21600.0, poll=90.0)
    assert words((EVENT, POLL), expected) == "no event within 6h, no poll has succeeded within 90s"
    assert words((), expected) == ""
    assert [duration(seconds) for seconds in (0, 1, 300, 172800)] == ["0s", "1s", "5m", "2d"]
