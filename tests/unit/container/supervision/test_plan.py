from __future__ import annotations

from dataclasses import replace

import pytest

from st2sensor.container.supervision import child as transitions
from st2sensor.container.supervision.child import Child, State
from st2sensor.container.supervision.plan import SLOW, Action, ActionKind, next_due, plan
from st2sensor.settings import Restarts

NOW = 1000.0
MANY = 1000

RESTARTS = Restarts(jitter=0)


def child(state: State, digest: str = "d", due: float | None = None, ref: str = "p.S") -> Child:
    return Child(ref=ref, digest=digest, state=state, since=NOW, due=due, reason="")


def exited(current: Child, code: int, now: float = NOW, restarts: Restarts = RESTARTS) -> Child:
    return transitions.exited(current, "ended", now, restarts, success=code == 0)


@pytest.mark.parametrize(
    ("state", "same", "changed", "unwanted"),
    [
        (State.STARTING, None, ActionKind.RESTART, ActionKind.STOP),
        (State.RUNNING, None, ActionKind.RESTART, ActionKind.STOP),
        (State.STOPPING, None, None, None),
        (State.STOPPED, ActionKind.START, ActionKind.START, ActionKind.FORGET),
        (State.FINISHED, None, ActionKind.START, ActionKind.FORGET),
        (State.BACKOFF, None, ActionKind.START, ActionKind.FORGET),
    ],
)
def test_each_state_has_its_action(
    state: State, same: ActionKind | None, changed: ActionKind | None, unwanted: ActionKind | None
) -> None:
    children = {"p.S": child(state, due=NOW + 1 if state is State.BACKOFF else None)}

    def action(desired: dict[str, str]) -> ActionKind | None:
        actions = plan(desired, children, NOW, MANY).actions
        assert all(item.ref == "p.S" for item in actions)
        return actions[0].do if actions else None

    assert action({"p.S": "d"}) is same
    assert action({"p.S": "other"}) is changed
    assert action({}) is unwanted


def test_what_is_wanted_and_not_there_is_started() -> None:
    todo = plan({"p.S": "d", "p.T": "e"}, {}, NOW, MANY)
    assert todo.actions == [Action(ActionKind.START, "p.S"), Action(ActionKind.START, "p.T")]
    assert not todo.held_back


def test_no_more_than_allowed_change_at_a_time_and_the_stopped_start_first() -> None:
    children = {
        "p.Stopping": child(State.STOPPING, "old"),
        "p.Changed": child(State.RUNNING, "old"),
        "p.Changed2": child(State.RUNNING, "old"),
        "p.Stopped": child(State.STOPPED, "old"),
        "p.Unwanted": child(State.RUNNING),
    }
    desired = dict.fromkeys(children, "new")
    del desired["p.Unwanted"]
    todo = plan(desired, children, NOW, 3)
    assert todo.actions == [
        Action(ActionKind.STOP, "p.Unwanted"),
        Action(ActionKind.START, "p.Stopped"),
        Action(ActionKind.RESTART, "p.Changed"),
    ]
    assert todo.held_back
    assert plan(desired, children, NOW, 1).actions == [Action(ActionKind.STOP, "p.Unwanted")]
    assert not plan(desired, children, NOW, 4).held_back


def test_a_slow_start_does_not_hold_up_others() -> None:
    children = {"p.Slow": child(State.STARTING)}
    desired = {"p.Slow": "d", "p.New": "d"}
    assert plan(desired, children, NOW + SLOW - 0.1, 1).actions == []
    assert plan(desired, children, NOW + SLOW, 1).actions == [Action(ActionKind.START, "p.New")]


def test_a_sensor_in_backoff_starts_when_it_is_due() -> None:
    waiting = {"p.S": child(State.BACKOFF, due=NOW + 5)}
    assert plan({"p.S": "d"}, waiting, NOW + 4.9, MANY).actions == []
    assert plan({"p.S": "d"}, waiting, NOW + 5, MANY).actions == [Action(ActionKind.START, "p.S")]
    assert next_due(waiting) == NOW + 5
    assert next_due({**waiting, "p.T": child(State.BACKOFF, due=NOW + 7)}) == NOW + 5
    assert next_due({"p.S": child(State.RUNNING)}) is None


def test_a_start_becomes_running_when_it_is_ready() -> None:
    started = transitions.starting("p.S", "d", NOW, 0, "it is new")
    assert started.state is State.STARTING
    running = transitions.ready(started, NOW + 1)
    assert (running.state, running.since) == (State.RUNNING, NOW + 1)
    stopping = transitions.stopping(running, NOW + 2, "it has changed")
    assert (stopping.state, stopping.reason) == (State.STOPPING, "it has changed")
    assert transitions.ready(stopping, NOW + 3) is stopping


def test_an_exit_is_judged_by_its_code_and_by_whether_it_was_asked_for() -> None:
    running = child(State.RUNNING)
    assert exited(running, 0).state is State.FINISHED
    assert exited(running, 1).state is State.BACKOFF
    assert exited(running, -9).state is State.BACKOFF
    assert exited(transitions.stopping(running, NOW, "asked"), -15).state is State.STOPPED


def test_a_sensor_that_is_stopped_because_it_failed_starts_again_whatever_it_exits_with() -> None:
    hanging = transitions.stopping(replace(child(State.RUNNING), failures=2), NOW, "it hangs", failed=True)
    after = exited(hanging, 0)
    assert (after.state, after.reason, after.failures, after.failed) == (State.BACKOFF, "it hangs", 3, False)
    recovered = transitions.stopping(
        replace(child(State.RUNNING), failures=2), NOW, "it hangs", failed=True, healthy=True
    )
    assert exited(recovered, 0).failures == 1


def test_the_wait_doubles_up_to_a_cap_and_never_ends() -> None:
    current = child(State.STARTING)
    waits = []
    for _ in range(12):
        current = exited(replace(current, state=State.STARTING), 1)
        assert current.due is not None
        waits.append(current.due - NOW)
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


def test_the_wait_is_as_configured() -> None:
    restarts = Restarts(delay=0.5, delay_max=1.5, jitter=0)
    first = exited(child(State.RUNNING), 1, restarts=restarts)
    assert first.due == NOW + 0.5
    assert exited(replace(first, failures=5), 1, restarts=restarts).due == NOW + 1.5


def test_a_healthy_run_forgets_earlier_failures() -> None:
    running = replace(child(State.RUNNING), failures=7)
    assert exited(running, 1, NOW + RESTARTS.healthy_after).failures == 1
    assert exited(running, 1, NOW + RESTARTS.healthy_after - 1).failures == 8


def test_jitter_stays_within_its_share() -> None:
    dues = [exited(child(State.RUNNING), 1, restarts=Restarts(jitter=0.2)).due or 0 for _ in range(200)]
    assert all(0.8 <= due - NOW <= 1.2 for due in dues)
    assert len(set(dues)) > 1


@pytest.mark.parametrize(
    ("code", "words"), [(0, "exit code 0"), (3, "exit code 3"), (-9, "signal SIGKILL"), (-99, "signal 99")]
)
def test_an_exit_is_told_in_words(code: int, words: str) -> None:
    assert transitions.describe_exit(code) == words
