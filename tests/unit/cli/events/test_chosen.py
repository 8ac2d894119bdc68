from __future__ import annotations

import time

import click
import pytest

from st2sensor.cli.events.chosen import Filter, filter_of, require_one_kind
from st2sensor.delivery.dead_letters import DeadLetter
from st2sensor.outbox.entry import Entry

LETTER = DeadLetter(
    id=1,
    entry=Entry(message_id="1", sensor="p.S", trigger="p.1", trigger_type="p.t", created=1000.0, body="{}", reason="r"),
)


@pytest.mark.parametrize(
    "chosen",
    [
        Filter(),
        Filter(sensor="p.S"),
        Filter(sensor="S"),
        Filter(trigger="p.t"),
        Filter(trigger="p.1"),
        Filter(since=1000.0, until=1000.5),
    ],
)
def test_a_letter_fits(chosen: Filter) -> None:
    assert chosen.fits(LETTER)


@pytest.mark.parametrize(
    "chosen", [Filter(sensor="q.S"), Filter(trigger="p.u"), Filter(since=1000.5), Filter(until=1000.0)]
)
def test_a_letter_does_not_fit(chosen: Filter) -> None:
    assert not chosen.fits(LETTER)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1970-01-01T00:16:40Z", 1000.0), ("1970-01-01T01:16:40+01:00", 1000.0), ("1970-01-02", 86400.0)],
)
def test_times_are_read(text: str, seconds: float) -> None:
    assert filter_of(None, None, text, None).since == seconds


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("1.5h", 5400), ("7d", 604800)])
def test_times_may_be_given_as_how_long_ago(text: str, seconds: float) -> None:
    until = filter_of(None, None, None, text).until
    assert until == pytest.approx(time.time() - seconds, abs=60)


@pytest.mark.parametrize("text", ["soon", "25:00", "2026-13-01", "-5m", "7 x"])
def test_other_times_are_refused_with_the_option(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a time; write 90s") as caught:
        filter_of(None, None, None, text)
    assert caught.value.param_hint == "--until"


def test_ids_go_with_nothing_else() -> None:
    require_one_kind([1], everything=False, is_filtered=False)
    require_one_kind([], everything=True, is_filtered=True)
    for everything, is_filtered in ((True, False), (False, True)):
        with pytest.raises(click.UsageError):
            require_one_kind([1], everything, is_filtered)
