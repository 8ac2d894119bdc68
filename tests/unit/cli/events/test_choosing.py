"""The options that choose events and dead letters."""

from __future__ import annotations

import time

import click
import pytest

from st2sensor.cli.events.choosing import Options, filters_of
from st2sensor.delivery.dead_letters import DeadLetter
from st2sensor.history.filters import Filters
from st2sensor.outbox.entry import Entry

EVERYTHING = Options(sensor=None, triggers=(), trace=None, since=None, until=None, where=(), states=())

BODY = '{"trigger":"p.t","payload":{"n":7},"trace_context":{"trace_tag":"tag"}}'

LETTER = DeadLetter(
    id=1,
    entry=Entry(message_id="1", sensor="p.S", trigger="p.1", trigger_type="p.t", created=1000.0, body=BODY, reason="r"),
)


def chosen(**options: object) -> Filters:
    return filters_of(**{**EVERYTHING, **options})  # type: ignore[arg-type]


def test_without_options_everything_is_chosen() -> None:
    assert chosen() == Filters()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sensor": "p.S"},
        {"sensor": "S"},
        {"triggers": ("p.t", "q.u")},
        {"triggers": ("p.1",)},
        {"trace": "tag"},
        {"since": "1970-01-01T00:16:40Z", "until": "1970-01-01T00:16:41Z"},
        {"where": ("payload.n>6",)},
        {"states": ("dead",)},
    ],
)
def test_a_dead_letter_is_chosen(options: dict[str, object]) -> None:
    assert chosen(**options).accepts(LETTER.event)


@pytest.mark.parametrize(
    "options",
    [
        {"sensor": "q.S"},
        {"sensor": "p"},
        {"triggers": ("p.u",)},
        {"trace": "ta"},
        {"since": "1970-01-01T00:16:41Z"},
        {"until": "1970-01-01T00:16:40Z"},
        {"where": ("payload.n>7",)},
        {"states": ("unrouted",)},
    ],
)
def test_a_dead_letter_is_not_chosen(options: dict[str, object]) -> None:
    assert not chosen(**options).accepts(LETTER.event)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1970-01-01T00:16:40Z", 1000.0), ("1970-01-01T01:16:40+01:00", 1000.0), ("1970-01-02", 86400.0)],
)
def test_times_are_read(text: str, seconds: float) -> None:
    assert chosen(since=text).since == seconds


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("1.5h", 5400), ("7d", 604800)])
def test_times_may_be_given_as_how_long_ago(text: str, seconds: float) -> None:
    assert chosen(until=text).until == pytest.approx(time.time() - seconds, abs=60)


@pytest.mark.parametrize("text", ["soon", "25:00", "2026-13-01", "-5m", "7 x"])
def test_other_times_are_refused_with_the_option(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a time; write 90s") as caught:
        chosen(until=text)
    assert caught.value.param_hint == "--until"


def test_a_malformed_condition_is_refused() -> None:
    with pytest.raises(click.BadParameter, match="is not a condition: write PATH OPERATOR VALUE"):
        chosen(where=("payload.n",))
