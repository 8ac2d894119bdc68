"""The supervisor's turns and its stop, in virtual time, with fake processes around real states."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from st2sensor.container.desired.membership import Membership
from st2sensor.container.desired.snapshot import Snapshot
from st2sensor.container.lifetime import Lifetime
from st2sensor.container.parts import Parts, Setup
from st2sensor.container.supervision.child import State
from st2sensor.container.supervisor import Supervisor
from st2sensor.container.targets import Targets
from st2sensor.errors import SensorNotFound
from st2sensor.logs import setup as logs
from st2sensor.models import Overrides, Registration
from st2sensor.models.limits import SensorLimits
from tests.support.supervised_node import REF, Node, sensor_type
from tests.support.virtual_time import run_in_virtual_time
from tests.unit.container.test_systemd import Manager


class World:
    """A supervisor of one node. Its calls of the parts around it are recorded in `calls`.

    :ivar failures: errors that reads of storage raise, one after the other.
    :ivar turns: the seconds at which turns were taken, since the start.
    """

    def __init__(
        self, *, only: str | None = None, foreground: bool = False, reaps: bool = False, **changed: Any
    ) -> None:
        self.calls: list[str] = []
        self.failures: list[Exception] = []
        self.turns: list[float] = []
        self.closed_at: float | None = None
        self.private: frozenset[str] | None = None
        self.limited: list[str] = []
        self.node = node = Node(**changed)
        self._began = node.loop.time()
        self.lifetime = Lifetime(node.wake, only=only is not None)
        self.targets = Targets(node.wake, only=only, unlimited=foreground)
        setup = SimpleNamespace(
            settings=SimpleNamespace(container=node.settings),
            state_dir=Path("/nonexistent"),
            only=only,
            foreground=foreground,
            clock=node.loop.time,
        )
        parts = SimpleNamespace(
            setup=cast(Setup, setup),
            wake=node.wake,
            lifetime=self.lifetime,
            targets=self.targets,
            refresh=self,
            catalogue=SimpleNamespace(learn=lambda *_: self.calls.append("catalogue learns")),
            pipeline=SimpleNamespace(outbox=self, history=self, dispatcher=self),
            children=node.children,
            reaper=SimpleNamespace(schedule=lambda: self.calls.append("orphans are reaped")) if reaps else None,
            methods=SimpleNamespace(tell_triggers=lambda: self.calls.append("triggers are told")),
            database_calls=self,
            expectations=SimpleNamespace(follow=lambda _: self.calls.append("expectations are followed")),
            hangs=SimpleNamespace(follow=lambda _: self.calls.append("hangs are followed")),
            neighbours=SimpleNamespace(check=lambda ref: self.calls.append(f"neighbours of {ref}")),
            operations=self,
            interface=self,
            close=self._close,
        )
        self.supervisor = Supervisor(cast(Parts, parts))
        self.look_at = float("inf")
        self.has_looked = True

    async def run(self, *plot: Callable[[], object]) -> int:
        """Run until the end of a plot: one step a second, and then a stop.  Returns the exit code."""
        for second, step in enumerate((*plot, self.lifetime.stop), start=1):
            self.node.loop.call_later(second, step)
        return await self.supervisor.run()

    def learn(self, *refs: str, overrides: Overrides | None = None) -> None:
        registrations = {
            ref: Registration(pack="p", name=ref[2:], metadata_file="s.yaml", overrides=overrides)
            for ref in refs
            if overrides is not None
        }
        self.targets.learn(Snapshot(sensors={ref: sensor_type(ref) for ref in refs}, registrations=registrations))

    # The parts around the supervisor.

    def look_when_stale(self) -> None:
        self.turns.append(round(self.node.loop.time() - self._began, 2))
        if self.node.loop.time() >= self.look_at:
            self.look_at = float("inf")
        if self.failures:
            raise self.failures.pop(0)

    def mark_stale(self) -> None:
        self.calls.append("stale")

    async def open(self, state_dir: Path) -> None:
        self.calls.append(f"{state_dir} is opened")

    def keep_only(self, sensors: frozenset[str]) -> None:
        self.calls.append(f"{len(sensors)} are kept")

    def overridden(self, ref: str, overrides: Overrides) -> Overrides:  # noqa: ARG002
        return overrides

    def override(self, ref: str, overrides: Overrides) -> None:  # noqa: ARG002
        self.calls.append(f"{ref} is overridden")

    def limit(self, limits: Mapping[str, SensorLimits]) -> None:
        self.limited = list(limits)

    def keep_private(self, sensors: frozenset[str]) -> None:
        self.private = sensors

    def welcome(self, ref: str) -> None:
        self.calls.append(f"welcome {ref}")

    def give_up_waiting(self) -> None:
        self.calls.append("outbox gives up")

    def give_up(self) -> None:
        self.calls.append("datastore gives up")

    async def _close(self) -> None:
        self.closed_at = self.node.loop.time()


def test_what_is_learned_is_started_and_what_is_gone_is_stopped_and_forgotten() -> None:
    async def main() -> None:
        world = World()
        node = world.node

        def gone() -> None:
            world.learn()

        def ends() -> None:
            assert node.child.state is State.STOPPING
            assert node.child.reason == "it is disabled or unregistered"
            node.process.exit(0)

        assert await world.run(lambda: world.learn(REF), gone, ends) == 0
        assert [process.asked[0][1] for process in node.processes] == ["terminate"]
        assert REF not in node.table.states
        assert world.calls[:8] == [
            "/nonexistent is opened",
            "hangs are followed",
            "expectations are followed",
            "catalogue learns",
            "triggers are told",
            "1 are kept",
            f"welcome {REF}",
            f"neighbours of {REF}",
        ]
        assert f"{REF} is overridden" in world.calls

    run_in_virtual_time(main())


def test_a_start_without_sensors_says_once_how_to_register_them(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        world = World()
        world.learn()
        world.learn()

    caplog.set_level(logging.INFO)
    run_in_virtual_time(main())
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["no sensor is registered; st2ctl reload --register-all registers the packs"]


def test_a_changed_sensor_restarts() -> None:
    async def main() -> None:
        world = World()
        node = world.node

        def change() -> None:
            changed = sensor_type()
            world.targets.learn(Snapshot(sensors={REF: changed.__class__(**{**_fields(changed), "poll_interval": 5})}))

        def ends() -> None:
            assert node.child.reason == "it has changed"
            node.process.exit(0)

        def stop() -> None:
            assert len(node.processes) == 2
            node.children.kill_all()

        await world.run(lambda: world.learn(REF), change, ends, stop)

    run_in_virtual_time(main())


def test_a_failed_sensor_starts_again_when_it_is_due_though_nothing_happens() -> None:
    async def main() -> None:
        world = World()
        node = world.node
        starts: list[float] = []
        began = node.loop.time()
        original = node.start

        async def start(launch: Any) -> Any:
            starts.append(round(node.loop.time() - began, 1))
            process = await original(launch)
            node.loop.call_soon(node.process.exit, 1)
            return process

        node.start = start  # type: ignore[method-assign]
        await world.run(lambda: world.learn(REF), *[lambda: None] * 7)
        assert starts == [1.0, 2.0, 4.0, 8.0]

    run_in_virtual_time(main())


def test_a_stop_lets_calls_go_asks_every_sensor_and_waits_for_its_end() -> None:
    async def main() -> None:
        world = World(stop_timeout=10.0)
        node = world.node
        node.loop.call_later(5.0, lambda: node.process.exit(0))
        began = node.loop.time()
        assert await world.run(lambda: world.learn(REF)) == 0
        assert world.calls[-2:] == ["outbox gives up", "datastore gives up"]
        assert node.child.reason == "the container is stopping"
        assert world.closed_at is not None
        assert round(world.closed_at - began, 1) == 5.0

    run_in_virtual_time(main())


def test_a_sensor_that_not_even_a_kill_ends_is_named_and_not_waited_for_any_longer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        world = World(stop_timeout=10.0)
        node = world.node

        def hang() -> None:
            node.process.kill = lambda: None  # type: ignore[method-assign]

        began = node.loop.time()
        await world.run(lambda: world.learn(REF), hang)
        # The stop is requested at 3 s, and the kill follows 10 s later; a kill may take 3 s more.
        assert world.closed_at is not None
        assert round(world.closed_at - began) == 16

    run_in_virtual_time(main())
    assert "p.S cannot be ended, not even by SIGKILL" in caplog.text


def test_the_second_signal_kills() -> None:
    async def main() -> None:
        world = World(stop_timeout=100.0)
        node = world.node
        began = node.loop.time()

        def interrupt() -> None:
            os.kill(os.getpid(), signal.SIGINT)

        node.loop.call_later(4, interrupt)
        node.loop.call_later(1, world.learn, REF)
        node.loop.call_later(2, interrupt)
        await world.supervisor.run()
        assert (node.process.asked[0], node.process.asked[-1]) == ((1.0, "terminate"), (3.0, "kill"))
        assert node.ended[0][1] == -signal.SIGKILL
        assert world.closed_at is not None
        assert world.closed_at - began < 5

    run_in_virtual_time(main())


def test_the_others_hear_first_that_this_container_leaves_but_not_for_long() -> None:
    async def main() -> None:
        world = World()
        node = world.node

        async def announce() -> None:
            world.calls.append("others are told")
            await asyncio.sleep(100)

        async def close() -> None:
            world.calls.append("leases are released")

        world.learn()
        world.targets.membership = cast(
            Membership, SimpleNamespace(announce=announce, close=close, runs={}, poke=lambda: None)
        )
        began = node.loop.time()
        await world.run()
        assert world.calls[-4:] == [
            "others are told",
            "outbox gives up",
            "datastore gives up",
            "leases are released",
        ]
        assert world.closed_at is not None
        assert round(world.closed_at - began, 1) == 2.0

    run_in_virtual_time(main())


def test_an_unexpected_error_is_logged_once_and_the_turn_is_taken_again(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        world = World()
        world.failures = [MemoryError("a"), MemoryError("a"), MemoryError("b")]
        world.learn(REF)
        world.node.loop.call_later(8, world.node.children.kill_all)
        await world.run(*[lambda: None] * 6)
        assert len(world.node.processes) == 1

    run_in_virtual_time(main())
    messages = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert messages == ["the running sensors may not be the ones that should run; trying again"] * 2


def test_one_sensor_that_cannot_be_acted_on_keeps_no_other_from_its_turn(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        world = World()
        node = world.node
        start, failures = node.children.start, [MemoryError("a")]
        starts: list[str] = []

        def start_at_last(sensor: Any, *arguments: Any) -> None:
            if sensor.ref == "a.First" and failures:
                raise failures.pop()
            starts.append(sensor.ref)
            start(sensor, *arguments)

        monkeypatch.setattr(node.children, "start", start_at_last)
        world.learn("a.First", REF)
        node.loop.call_later(5, node.children.kill_all)
        await world.run(lambda: None, lambda: None)
        assert starts == [REF, "a.First"]

    run_in_virtual_time(main())
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR] == [
        "the running sensors may not be the ones that should run; trying again"
    ]


def test_one_sensor_alone_that_is_not_registered_is_an_error_and_everything_is_closed() -> None:
    async def main() -> None:
        world = World(only=REF)
        with pytest.raises(SensorNotFound, match=r"p\.S is not registered: check the name"):
            await world.run(world.learn)
        assert world.closed_at is not None

    run_in_virtual_time(main())


@pytest.mark.parametrize("foreground", [False, True])
def test_sighup_reads_storage_but_in_the_foreground_the_terminal_is_gone(foreground: bool) -> None:
    async def main() -> None:
        world = World(only=REF, foreground=foreground)
        world.node.loop.call_later(0.5, os.kill, os.getpid(), signal.SIGHUP)
        await world.run()
        assert ("stale" in world.calls, world.lifetime.is_stopping) == (not foreground, True)
        # In the foreground, the user may be paused at a breakpoint.
        assert ("hangs are followed" in world.calls) is not foreground

    run_in_virtual_time(main())


def test_an_error_that_comes_again_after_a_good_turn_is_logged_again(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        world = World()

        def fail() -> None:
            world.failures.append(MemoryError("a"))
            world.node.wake.set()

        await world.run(fail, lambda: None, lambda: None, fail)

    run_in_virtual_time(main())
    assert caplog.text.count("the running sensors may not be the ones that should run; trying again") == 2


def test_a_failed_turn_is_taken_again_after_a_while_or_once_several_things_have_happened() -> None:
    async def main() -> None:
        world = World()
        world.failures = [MemoryError("a"), MemoryError("b"), MemoryError("c")]
        world.node.loop.call_later(0.5, world.node.wake.set)
        world.node.loop.call_later(0.51, world.node.wake.set)
        await world.run(*[lambda: None] * 3)
        assert world.turns[:4] == [0.0, 0.52, 1.54, 2.56]

    run_in_virtual_time(main())


def test_turns_are_taken_when_storage_is_due_to_be_read_and_when_its_content_may_have_changed() -> None:
    async def main() -> None:
        world = World()
        world.look_at = world.node.loop.time() + 1.5
        await world.run(lambda: None, lambda: None, world.supervisor.mark_stale)
        assert world.turns == [0.0, 1.5, 3.0]
        assert world.calls.count("stale") == 1

    run_in_virtual_time(main())


def test_a_read_that_is_overdue_is_not_put_off() -> None:
    async def main() -> None:
        world = World()

        def overdue() -> None:
            world.look_at = world.node.loop.time() - 5
            world.node.wake.set()

        await world.run(overdue)
        assert world.turns == [0.0, 1.0]
        world = World()
        world.look_at = world.node.loop.time()
        look = world.look_when_stale

        def overdue_once() -> None:
            due = world.look_at
            look()
            world.look_at = due if len(world.turns) == 1 else float("inf")

        world.look_when_stale = overdue_once  # type: ignore[method-assign]
        await world.run()
        assert world.turns == [0.0, 0.0]

    run_in_virtual_time(main())


def test_limits_and_private_sensors_are_passed_on() -> None:
    async def main() -> None:
        world = World()
        limited = Overrides(limits={"rate": "1/s"}, payloads="none")
        await world.run(lambda: world.learn(REF, overrides=limited), world.node.children.kill_all)
        assert world.limited == [REF]
        assert world.private == frozenset({REF})
        world.learn(REF, overrides=Overrides(payloads="full"))
        assert world.limited == []
        assert world.private == frozenset()

    run_in_virtual_time(main())


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    manager = Manager(tmp_path)
    monkeypatch.setenv("NOTIFY_SOCKET", manager.path)
    yield manager
    manager.close()


def test_systemd_hears_that_it_is_ready_with_or_without_sensors_and_that_it_stops(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        monkeypatch.setenv("WATCHDOG_USEC", "3000000")
        world = World()
        world.has_looked = False

        def looked() -> None:
            assert "READY=1" not in manager.heard()
            world.has_looked = True
            world.node.wake.set()

        await world.run(looked)
        assert [line for line in manager.heard() if line != "WATCHDOG=1"] == ["READY=1", "STOPPING=1"]
        await asyncio.sleep(10)
        assert manager.heard() == []

    run_in_virtual_time(main())


def test_systemd_hears_that_it_is_ready_once_every_first_start_was_attempted(manager: Manager) -> None:
    async def main() -> None:
        world = World(changes_at_once=1)
        node, heard = world.node, []
        world.learn("p.A", REF)

        def listen() -> None:
            heard.append((len(node.processes), "READY=1" in manager.heard()))

        node.loop.call_later(9, node.children.kill_all)
        # A start that takes longer than 5 s delays no other.
        await world.run(*[listen] * 7)
        assert heard[:4] == [(1, False)] * 4
        assert heard[-1][0] == 2
        assert [ready for _, ready in heard].count(True) == 1

    run_in_virtual_time(main())


def test_systemd_shows_how_many_sensors_are_in_which_state(manager: Manager) -> None:
    async def main() -> None:
        world = World()
        await world.run(lambda: world.learn(REF), world.node.wake.set, world.node.children.kill_all)

    run_in_virtual_time(main())
    assert "STATUS=1 starting" in manager.heard()


def test_signals_that_the_caller_has_blocked_are_heard_and_orphans_are_reaped(monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = {signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1}

    async def main() -> None:
        world = World(reaps=True)
        monkeypatch.setattr(logs, "reopen", lambda: world.calls.append("the log is reopened"))
        for second, number in ((0.1, signal.SIGUSR1), (0.2, signal.SIGCHLD), (0.3, signal.SIGHUP)):
            world.node.loop.call_later(second, os.kill, os.getpid(), number)
        await world.run()
        assert [call for call in world.calls if call in {"the log is reopened", "orphans are reaped", "stale"}] == [
            "the log is reopened",
            "orphans are reaped",
            "stale",
        ]
        assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & blocked

    before = signal.getsignal(signal.SIGCHLD)
    signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    try:
        run_in_virtual_time(main())
    finally:
        signal.signal(signal.SIGCHLD, before)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)


def _fields(sensor: Any) -> dict[str, Any]:
    return {name: getattr(sensor, name) for name in sensor.__dataclass_fields__}
