"""The newest events, which are kept for pages to come."""

from __future__ import annotations

from st2sensor.container import broadcast
from st2sensor.container.broadcast import Broadcast
from st2sensor.status.past import KEPT, TEXT_LIMIT, Past, is_failure


def test_triggers_push_no_failure_out() -> None:
    events, past = Broadcast(), Past()
    with events.attached(past):
        events.tell(broadcast.ERROR, "p.S", text="the failure")
        for number in range(KEPT + 5):
            events.tell(broadcast.TRIGGER, "p.S", trigger=f"p.t{number}", body="x" * 1000)
    events.tell(broadcast.ERROR, "p.S", text="not seen")
    kept = past.after(0)
    assert len(kept) == KEPT + 1
    assert (kept[0]["text"], kept[0]["id"]) == ("the failure", 1)
    assert [item["trigger"] for item in kept[1:]] == [f"p.t{number}" for number in range(5, KEPT + 5)]
    assert past.last == KEPT + 6
    assert "body" not in kept[1]


def test_newer_events_are_told_in_order() -> None:
    past = Past()
    for number in range(4):
        past.see({"kind": (broadcast.ERROR, broadcast.STATE)[number % 2], "at": 1.0, "sensor": "p.S"})
    assert [item["id"] for item in past.after(2)] == [3, 4]
    assert past.after(4) == []


def test_texts_keep_their_message() -> None:
    past = Past()
    past.see({"kind": broadcast.ERROR, "at": 1.0, "sensor": "p.S", "text": "Traceback\n  File\nKeyError: 'x'\n"})
    past.see({"kind": broadcast.INVALID, "at": 1.0, "sensor": "p.S", "trigger": "p.t", "reason": "y" * 999 + "\nmore"})
    first, second = past.after(0)
    assert first["text"] == "KeyError: 'x'"
    assert len(second["reason"]) == TEXT_LIMIT


def test_failures_are_errors_dead_letters_and_failed_processes() -> None:
    assert is_failure({"kind": broadcast.ERROR})
    assert is_failure({"kind": broadcast.INVALID})
    assert is_failure({"kind": broadcast.STATE, "state": "backoff"})
    assert not is_failure({"kind": broadcast.STATE, "state": "running"})
    assert not is_failure({"kind": broadcast.TRIGGER})
