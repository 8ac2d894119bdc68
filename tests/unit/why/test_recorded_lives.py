"""Events in a history."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from st2sensor.errors import EventNotFound
from st2sensor.history.event import State
from st2sensor.history.reader import History
from st2sensor.why.life import Attempt
from st2sensor.why.recorded_lives import RecordedLives
from tests.unit.history.test_writer import of, outcome, write


def test_without_a_history_there_are_no_events(tmp_path: Path) -> None:
    lives = RecordedLives(tmp_path / "history.db")
    assert (lives.named("abcd"), lives.traced("t"), lives.of_trigger("p.t")) == ([], [], [])


def test_an_event_has_its_life(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    first = of(outcome(1), message_id="abcd" + "0" * 28)
    second = of(outcome(2, state=State.DEAD, reason="it does not fit", attempts=2, problem="refused"), message_id="b")
    write(path, [first, second])
    with closing(History(path)) as history:
        history.add_replays([first.entry.message_id], 50.0, "x")
    lives = RecordedLives(path)
    (found,) = lives.named("abcd0")
    assert (found.created, found.confirmed, found.replayed) == (1.0, first.settled, 50.0)
    assert (found.is_dead, found.unrouted, found.attempts, found.source) == (False, None, (), "history")
    (found,) = lives.named("b")
    assert (found.is_dead, found.dead, found.reason) == (True, second.settled, "it does not fit")
    assert found.attempts == (Attempt(at=None, refusal="refused", times=2),)
    assert [life.created for life in lives.of_trigger(first.entry.trigger_type)] == [2.0, 1.0]


def test_an_ambiguous_beginning_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    write(path, [of(outcome(1), message_id="abcd0" + "0" * 27), of(outcome(2), message_id="abcd1" + "0" * 27)])
    with pytest.raises(EventNotFound, match="give more of the id"):
        RecordedLives(path).named("abcd")
