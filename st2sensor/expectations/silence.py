"""The rule of silence: how long a sensor has been quiet, and whether that is longer than its operator expects.

The rule adds up spans of a clock that only goes forwards, so a jump of the host's clock neither makes a sensor silent
nor hides its silence. Time for which the sensor should not have been running is never added.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from st2sensor.expectations.duration import duration
from st2sensor.models import Expectation, Silence

EVENT, POLL = "event", "poll"
"""The things that can be expected of a sensor."""

LONGEST_SPAN = 10.0
"""Maximum number of seconds that one check adds. If more have passed, the container itself was held up, and could not
have heard any sensor."""

FIRST_STEP, LAST_STEP, STEPS = 10.0, 300.0, 10
"""A quiet time is stored again when it has grown by this part of the expectation, within these limits in seconds."""

WORDS = {EVENT: "no event within {}", POLL: "no poll has succeeded within {}"}


def after(known: Silence, seconds: float, heard: Collection[str], expected: Expectation, at: float) -> Silence:
    """Return how long a sensor has been quiet after another span of time in which it should have been running.

    :param seconds: length of the span.
    :param heard: `event` if the sensor dispatched an event in the span, `poll` if a poll succeeded, or both.
    :param at: the end of the span in seconds since the epoch, only for people to read.
    """
    span = min(max(0.0, seconds), LONGEST_SPAN)
    event = 0.0 if EVENT in heard else known.event + span
    poll = 0.0 if POLL in heard else known.poll + span
    quiet = ((EVENT, event, expected.event), (POLL, poll, expected.poll))
    missing = tuple(name for name, has, most in quiet if most is not None and has >= most)
    since = (known.since if known.missing else at) if missing else None
    return replace(known, event=event, poll=poll, missing=missing, since=since)


def must_store(stored: Silence, now: Silence, expected: Expectation) -> bool:
    """Return whether the stored state of a sensor differs too much from the current one. If the stored time is too
    long, the sensor could become silent too early after a restart; if it is too short, too late, by at most one step.
    """
    if stored.missing != now.missing:
        return True
    quiet = ((stored.event, now.event, expected.event), (stored.poll, now.poll, expected.poll))
    return any(most is not None and (has < kept or has - kept >= _step(most)) for kept, has, most in quiet)


def merged(stored: Silence | None, known: Silence, heard: Collection[str]) -> Silence:
    """Return the state of a sensor once its stored state has been read.

    :param known: the state since the container began to run the sensor.
    :param heard: the sensor's events and polls since then.
    """
    if stored is None:
        return known
    event = known.event if EVENT in heard else known.event + stored.event
    poll = known.poll if POLL in heard else known.poll + stored.poll
    return replace(stored, event=event, poll=poll)


def words(missing: Collection[str], expected: Expectation) -> str:
    """Return the unmet expectations in words; empty if there are none."""
    limits = {EVENT: expected.event, POLL: expected.poll}
    return ", ".join(WORDS[name].format(duration(limits[name] or 0.0)) for name in missing if name in WORDS)


def _step(expected: float) -> float:
    return min(max(FIRST_STEP, expected / STEPS), LAST_STEP)
