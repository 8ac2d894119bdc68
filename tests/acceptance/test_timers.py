"""The bundled core.TimerSensor in real containers, by the wall's clock: stopped, killed, and taken over.

What was fired is compared with the timer's cursor: an interval's time by time, however slow the machine is.
"""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.plugins.patience import FACTOR, LATER
from tests.support.servers.waiting import eventually
from tests.support.workspace import Container, Listener, Seen, Workspace

SENSOR = "core.TimerSensor"

EVERY_SECOND = ("core.st2.IntervalTimer", "unit=seconds", "delta=1")


def enable(workspace: Workspace, missed: str = "all", extra: str = "") -> None:
    workspace.configure(f"{extra}\n[timers]\nenable = true\nmissed = {missed}")
    workspace.reload_well()


def add(workspace: Workspace, *arguments: str) -> str:
    """Ask for a timer on the command line; returns its trigger's reference."""
    done = workspace.run("st2sensor", "--config-file", str(workspace.config), "triggers", "add", "--json", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return str(json.loads(done.stdout)["ref"])


def add_date(workspace: Workspace) -> tuple[str, datetime]:
    """Ask for a date that is still to come when the timer hears of it; returns its trigger's reference, too."""
    seconds = 2
    while True:
        date = (datetime.now(UTC) + timedelta(seconds=seconds)).replace(microsecond=0)
        ref = add(workspace, "core.st2.DateTimer", f"date={date:%Y-%m-%d %H:%M:%S}", "timezone=UTC")
        stored = eventually("the timer is known", lambda ref=ref: cursor(workspace, ref))  # type: ignore[misc]
        if datetime.fromisoformat(stored["start"]) < date:
            return ref, date
        seconds *= 2


def cursor(workspace: Workspace, ref: str) -> dict[str, Any]:
    """How far a timer has come; empty when there is none."""
    name = f"{SENSOR}:cursor.{ref.partition('.')[2]}"
    found = [item["value"] for item in workspace.documents("key_value_pair_d_b") if item["name"] == name]
    stored: dict[str, Any] = json.loads(found[0]) if found else {}
    return stored


MOMENTS = ("start", "after")
"""Of a cursor."""


def set_key(workspace: Workspace, name: str, value: str) -> None:
    done = workspace.run("st2sensor", "--config-file", str(workspace.config), "key", "set", name, value)
    assert done.returncode == 0, done.stderr


def come(stored: dict[str, Any]) -> timedelta:
    """Of an interval."""
    return datetime.fromisoformat(stored["after"]) - datetime.fromisoformat(stored["start"])


def distinct(listener: Listener, ref: str) -> list[Seen]:
    """What came, in order, and what came again under its message_id once."""
    return list({message.message_id: message for message in listener.of(ref)}.values())


def executed_at(message: Seen) -> datetime:
    return datetime.fromisoformat(message.payload["executed_at"])


def kill(container: Container) -> None:
    """As a lost container is: with its sensors, at once."""
    container.process.kill()
    container.process.wait()


def check_each_second_once(workspace: Workspace, listener: Listener, ref: str) -> None:
    """Each second since the timer began was fired once. The containers have stopped."""
    number = round(come(cursor(workspace, ref)).total_seconds())
    eventually("every event is here", lambda: len(distinct(listener, ref)) >= number)
    assert len(distinct(listener, ref)) == number


def test_an_interval_fires_with_a_payload_of_time_and_schedule(workspace: Workspace) -> None:
    enable(workspace)
    listener = workspace.listen()
    container = workspace.start()
    ref = add(workspace, *EVERY_SECOND)
    seen = listener.wait_for(ref, 3)
    assert all(message.payload["schedule"] == {"unit": "seconds", "delta": 1} for message in seen)
    times = [executed_at(message) for message in seen]
    assert times == sorted(times)
    assert container.stop() == 0
    check_each_second_once(workspace, listener, ref)


def test_a_rule_s_timer_comes_and_goes_with_it(embedded: Workspace) -> None:
    rule = embedded.add_rule("ours", "often", "core.st2.IntervalTimer", unit="seconds", delta=1)
    enable(embedded)
    (document,) = [item for item in embedded.documents("trigger_d_b") if item["type"] == "core.st2.IntervalTimer"]
    listener = embedded.listen()
    embedded.start()
    listener.wait_for(document["ref"], 2)
    assert cursor(embedded, document["ref"])
    rule.unlink()
    embedded.reload_well()
    eventually("its cursor is deleted", lambda: not cursor(embedded, document["ref"]))


def test_the_cursor_of_a_timer_that_went_while_no_container_ran_is_deleted_a_day_later(embedded: Workspace) -> None:
    enable(embedded)
    parameters = {"unit": "seconds", "delta": 1}
    for name, days in {"gone": 2, "late": 0.5}.items():
        moved = (datetime.now(UTC) - timedelta(days=days)).isoformat()
        stored = json.dumps({"start": moved, "after": moved, "parameters": parameters})
        set_key(embedded, f"{SENSOR}:cursor.{name}", stored)
    container = embedded.start()
    eventually("its cursor is deleted", lambda: not cursor(embedded, "core.gone"))
    assert container.stop() == 0
    assert cursor(embedded, "core.late")


def test_a_date_fires_once_also_over_a_restart(embedded: Workspace) -> None:
    enable(embedded)
    listener = embedded.listen()
    container = embedded.start()
    container.wait_for_log(f"{SENSOR} started")
    ref, date = add_date(embedded)
    (seen,) = listener.wait_for(ref)
    assert executed_at(seen) >= date
    kill(container)
    other = add(embedded, *EVERY_SECOND)
    again = embedded.start()
    listener.wait_for(other, 2)
    assert again.stop() == 0
    assert len(distinct(listener, ref)) == 1


@pytest.mark.parametrize("workspace", ["served", pytest.param("embedded", marks=pytest.mark.soak)], indirect=True)
def test_of_a_container_that_is_killed_and_started_again_each_missed_time_is_fired_once(workspace: Workspace) -> None:
    enable(workspace)
    listener = workspace.listen()
    container = workspace.start()
    ref = add(workspace, *EVERY_SECOND)
    for _ in range(2):
        listener.wait_for(ref, len(listener.of(ref)) + 2)
        kill(container)
        missed = datetime.fromisoformat(cursor(workspace, ref)["after"]) + timedelta(seconds=2.5)
        eventually("some times were missed", lambda until=missed: datetime.now(UTC) > until)  # type: ignore[misc]
        container = workspace.start()
    listener.wait_for(ref, round(come(cursor(workspace, ref)).total_seconds()) + 5)
    assert container.stop() == 0
    check_each_second_once(workspace, listener, ref)


def is_whole(workspace: Workspace) -> bool:
    """Return whether the cursor counts every event that was put on its way.

    A container that ends between the two leaves a batch, and the next one finishes it.
    """
    return not any(document.get("batches") for document in workspace.documents("st2sensor_leases"))


def test_one_event_stands_for_all_that_were_missed_where_that_is_asked_for(embedded: Workspace) -> None:
    enable(embedded, missed="once")
    listener = embedded.listen()
    container = embedded.start()
    ref = add(embedded, "core.st2.IntervalTimer", "unit=seconds", "delta=2")
    for count in itertools.count(1):
        eventually("it fires", lambda count=count: len(distinct(listener, ref)) >= count)  # type: ignore[misc]
        kill(container)
        if is_whole(embedded):
            break
        container = embedded.start()
    known = cursor(embedded, ref)
    before = come(known) // timedelta(seconds=2)
    assert before >= 1
    # As of a container that was killed longer ago: up to 10 s late is on time.
    earlier = {name: (datetime.fromisoformat(known[name]) - timedelta(seconds=20)).isoformat() for name in MOMENTS}
    set_key(embedded, f"{SENSOR}:cursor.{ref.partition('.')[2]}", json.dumps({**known, **earlier}))
    for count in itertools.count(before + 2):
        container = embedded.start()
        eventually("it goes on", lambda count=count: len(distinct(listener, ref)) >= count)  # type: ignore[misc]
        assert container.stop() == 0
        if is_whole(embedded):
            break
    times = come(cursor(embedded, ref)) // timedelta(seconds=2)
    assert len(distinct(listener, ref)) <= times - 9


@pytest.mark.parametrize(
    ("every", "fires"),
    [(1, 4), pytest.param(5, 13, marks=pytest.mark.soak(minutes=2), id="a minute")],
    ids=["some seconds", None],
)
def test_cron_fires_at_each_of_its_times_by_the_wall_s_clock(embedded: Workspace, every: int, fires: int) -> None:
    enable(embedded)
    listener = embedded.listen()
    container = embedded.start()
    ref = add(embedded, "core.st2.CronTimer", f"second=*/{every}")
    listener.wait_for(ref, fires, timeout=LATER)
    assert container.stop() == 0
    stored = cursor(embedded, ref)
    begun, reached = (datetime.fromisoformat(stored[name]).timestamp() for name in MOMENTS)
    assert reached % every == 0
    due = [time for time in range(int(begun) + 1, int(reached) + 1) if time % every == 0]
    eventually("every event is here", lambda: len(distinct(listener, ref)) >= len(due))
    times = [executed_at(message).timestamp() for message in distinct(listener, ref)]
    assert len(times) == len(due)
    assert all(time >= asked for time, asked in zip(times, due, strict=True))
    assert "Traceback" not in container.log


def test_what_the_command_line_is_given_for_cron_is_taken_or_refused_with_a_reason(embedded: Workspace) -> None:
    enable(embedded)
    assert cursor(embedded, add(embedded, "core.st2.CronTimer", "minute=*/5")) == {}

    def refused(*arguments: str) -> str:
        done = embedded.run("st2sensor", "--config-file", str(embedded.config), "triggers", "add", *arguments)
        assert done.returncode != 0
        assert "Traceback" not in done.stderr
        return done.stderr

    assert "minute" in refused("core.st2.CronTimer", "minute=99")
    assert "Mars/Phobos" in refused("core.st2.CronTimer", "minute=5", "timezone=Mars/Phobos")
    assert "delta must be 1 or more" in refused("core.st2.IntervalTimer", "unit=seconds", "delta=0")
    assert len([item for item in embedded.documents("trigger_d_b") if item["type"] == "core.st2.CronTimer"]) == 1


def test_switched_off_the_sensor_is_unregistered_and_stops(embedded: Workspace) -> None:
    enable(embedded)
    container = embedded.start()
    container.wait_for_log(f"{SENSOR} started")
    embedded.configure("[timers]\nenable = false")
    assert SENSOR in embedded.reload_well()
    container.wait_for_log(f"{SENSOR} stopped")
    assert embedded.documents("sensor_type_d_b") == []
    # What rules ask for is registered all the same.
    assert {"st2.CronTimer", "st2.DateTimer", "st2.IntervalTimer"} <= {
        item["name"] for item in embedded.documents("trigger_type_d_b")
    }


# Taken over.


LEASE = min(3 * FACTOR, 10)


def start_shared(workspace: Workspace, name: str) -> Container:
    options = f"resync_interval = 0.5\nlease = {LEASE:g}\nsensor_node_name = {name}\npartition_provider = name:shared"
    path = workspace.folder / f"{name}.conf"
    path.write_text(workspace.configuration(f"{options}\n[timers]\nenable = true\nmissed = all", state=name))
    return workspace.start(config=path)


def holder(containers: dict[str, Container]) -> str:
    """The name of the container that runs the timers, or nothing."""
    return next((name for name, container in containers.items() if SENSOR in container.wrappers()), "")


@pytest.mark.soak
def test_a_takeover_fires_no_time_twice_and_leaves_none_out(served: Workspace) -> None:
    enable(served)
    listener = served.listen()
    ref = add(served, *EVERY_SECOND)
    containers = {name: start_shared(served, name) for name in ("one", "two")}
    listener.wait_for(ref, 2)

    lost = eventually("one runs the timers", lambda: holder(containers))
    kill(containers.pop(lost))
    eventually("the other one does", lambda: holder(containers))
    listener.wait_for(ref, len(listener.of(ref)) + 3)
    # What it had accepted and not delivered waits in its outbox until it starts again.
    containers[lost] = start_shared(served, lost)
    containers[lost].wait_for_log("connected to")

    # In order, too.
    other = next(name for name in containers if name != lost)
    assert containers.pop(other).stop() == 0
    eventually("the first one runs the timers again", lambda: holder(containers))
    listener.wait_for(ref, len(listener.of(ref)) + 2)
    assert containers.pop(lost).stop() == 0
    check_each_second_once(served, listener, ref)
