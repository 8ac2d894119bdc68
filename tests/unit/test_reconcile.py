from __future__ import annotations

from dataclasses import replace

import pytest

from st2sensor.container import child as transitions
from st2sensor.container.child import Child, State
from st2sensor.container.reconcile import Action, Do, next_due, plan

NOW = 1000.0


def child(state: State, digest: str = "d", due: float | None = None) -> Child:
    return Child(ref="p.S", digest=digest, state=state, since=NOW, due=due)


@pytest.mark.parametrize(
    ("state", "same", "changed", "unwanted"),
    [
        (State.STARTING, None, Do.STOP, Do.STOP),
        (State.RUNNING, None, Do.STOP, Do.STOP),
        (State.STOPPING, None, None, None),
        (State.STOPPED, Do.START, Do.START, Do.FORGET),
        (State.FINISHED, None, Do.START, Do.FORGET),
        (State.BACKOFF, None, Do.START, Do.FORGET),
    ],
)
def test_each_state_has_its_action(state: State, same: Do | None, changed: Do | None, unwanted: Do | None) -> None:
    children = {"p.S": child(state, due=NOW + 1 if state is State.BACKOFF else None)}

    def action(desired: dict[str, str]) -> Do | None:
        actions = plan(desired, children, NOW)
        assert all(item.ref == "p.S" for item in actions)
        return actions[0].do if actions else None

    assert action({"p.S": "d"}) is same
    assert action({"p.S": "other"}) is changed
    assert action({}) is unwanted


def test_what_is_wanted_and_not_there_is_started() -> None:
    assert plan({"p.S": "d", "p.T": "e"}, {}, NOW) == [Action(Do.START, "p.S"), Action(Do.START, "p.T")]


def test_a_sensor_in_backoff_starts_when_it_is_due() -> None:
    waiting = {"p.S": child(State.BACKOFF, due=NOW + 5)}
    assert plan({"p.S": "d"}, waiting, NOW + 4.9) == []
    assert plan({"p.S": "d"}, waiting, NOW + 5) == [Action(Do.START, "p.S")]
    assert next_due(waiting) == NOW + 5
    assert next_due({"p.S": child(State.RUNNING)}) is None


def test_a_start_becomes_running_when_it_is_ready() -> None:
    started = transitions.starting("p.S", "d", NOW)
    assert started.state is State.STARTING
    running = transitions.ready(started, NOW + 1)
    assert (running.state, running.since) == (State.RUNNING, NOW + 1)
    stopping = transitions.stopping(running, NOW + 2)
    assert transitions.ready(stopping, NOW + 3) is stopping


def test_an_exit_is_judged_by_its_code_and_by_whether_it_was_asked_for() -> None:
    running = transitions.ready(transitions.starting("p.S", "d", NOW), NOW)
    assert transitions.exited(running, 0, NOW).state is State.FINISHED
    assert transitions.exited(running, 1, NOW).state is State.BACKOFF
    assert transitions.exited(running, -9, NOW).state is State.BACKOFF
    assert transitions.exited(transitions.stopping(running, NOW), -15, NOW).state is State.STOPPED


def test_the_wait_doubles_up_to_a_cap_and_never_ends() -> None:
    current = transitions.starting("p.S", "d", NOW)
    waits = []
    for _ in range(12):
        current = transitions.exited(replace(current, state=State.STARTING), 1, NOW, jitter=0)
        assert current.due is not None
        waits.append(current.due - NOW)
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


def test_a_healthy_run_forgets_earlier_failures() -> None:
    running = replace(child(State.RUNNING), failures=7)
    assert transitions.exited(running, 1, NOW + transitions.HEALTHY).failures == 1
    assert transitions.exited(running, 1, NOW + transitions.HEALTHY - 1).failures == 8


def test_jitter_stays_within_a_fifth() -> None:
    current = transitions.starting("p.S", "d", NOW)
    dues = [transitions.exited(current, 1, NOW).due or 0 for _ in range(200)]
    assert all(0.8 <= due - NOW <= 1.2 for due in dues)
    assert len(set(dues)) > 1


@pytest.mark.parametrize(
    ("code", "words"), [(0, "exit code 0"), (3, "exit code 3"), (-9, "signal SIGKILL"), (-99, "signal 99")]
)
def test_an_exit_is_told_in_words(code: int, words: str) -> None:
    assert transitions.describe_exit(code) == words
