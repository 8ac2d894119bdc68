"""The node's answers to the methods of the wrapper protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from st2sensor.container.broadcast import Broadcast
from st2sensor.container.desired.refresh import Refresh
from st2sensor.container.desired.snapshot import Snapshot
from st2sensor.container.lifetime import Lifetime
from st2sensor.container.node import Node
from st2sensor.container.sessions.assignments import Assignments
from st2sensor.container.supervision.child import Child, State
from st2sensor.container.supervision.child_table import ChildTable
from st2sensor.container.supervision.recorder import Recorder
from st2sensor.container.targets import Targets
from st2sensor.dispatch.catalogue import Catalogue
from st2sensor.dispatch.dispatcher import Dispatcher
from st2sensor.dispatch.event import Event
from st2sensor.errors import LeaseLost, SensorNotFound
from st2sensor.models import Overrides, SensorType, TriggerType
from st2sensor.settings import Datastore
from tests.support.supervised_node import REF, RESTARTS, sensor_type


class World:
    """A node with p.S, and stand-ins for the parts around it.

    :ivar fence: of p.S; None where sensors are not shared, and "lost" for a lease that has ended.
    """

    def __init__(self, *, is_shared: bool = False, **datastore: str) -> None:
        wake = asyncio.Event()
        self.lifetime = Lifetime(wake, only=False)
        self.targets = Targets(wake)
        self.table = ChildTable(Recorder(Broadcast(), RESTARTS))
        self.table.overrides[REF] = Overrides()
        self.catalogue = Catalogue()
        self.fence: int | str | None = None
        self.concealed: list[tuple[str, frozenset[str]]] = []
        self.dispatched: list[tuple[str, Event]] = []
        self.node = Node(
            Datastore(**datastore),  # type: ignore[arg-type]
            self.lifetime,
            self.targets,
            self.table,
            cast(Refresh, None),
            cast(Assignments, self),
            self.catalogue,
            cast(Dispatcher, self),
            self,
            is_shared=is_shared,
        )

    async def of(self, sensor: SensorType) -> tuple[dict[str, Any], frozenset[str]]:
        return {"ref": sensor.ref, "config": {"password": "hunter2"}}, frozenset({"hunter2"})

    def conceal(self, ref: str, secrets: frozenset[str]) -> None:
        self.concealed.append((ref, secrets))

    def dispatch(self, sensor: str, event: Event, done: Callable[[Exception | None], None]) -> None:
        done(OSError("the outbox is full"))
        self.dispatched.append((sensor, event))

    def fence_of(self, sensor: str) -> int | None:
        if isinstance(self.fence, str):
            raise LeaseLost(sensor)
        return self.fence

    def is_held(self, sensor: str, fence: int | None) -> bool:
        raise NotImplementedError(sensor, fence)


def test_an_assignment_comes_with_level_and_fence_and_its_secrets_are_masked_first() -> None:
    async def main() -> None:
        world = World()
        world.targets.learn(Snapshot(sensors={REF: sensor_type()}))
        world.table.overrides[REF] = Overrides(log_level="DEBUG")
        world.fence = 7
        assert await world.node.assignment(REF) == {
            "ref": REF,
            "config": {"password": "hunter2"},
            "log_level": 10,
            "fence": 7,
        }
        assert world.concealed == [(REF, frozenset({"hunter2"}))]
        world.fence = "lost"
        with pytest.raises(LeaseLost):
            await world.node.assignment(REF)

    asyncio.run(main())


def test_a_sensor_that_is_not_registered_has_no_assignment() -> None:
    async def main() -> None:
        world = World()
        with pytest.raises(SensorNotFound, match=r"p\.S is not registered any more"):
            await world.node.assignment(REF)
        world.targets.learn(Snapshot())
        with pytest.raises(SensorNotFound):
            await world.node.assignment(REF)

    asyncio.run(main())


def test_a_sensor_that_is_forgotten_while_its_configuration_is_rendered_has_no_assignment() -> None:
    async def main() -> None:
        world = World()
        world.targets.learn(Snapshot(sensors={REF: sensor_type()}))
        del world.table.overrides[REF]
        with pytest.raises(SensorNotFound, match=r"p\.S should no longer run here"):
            await world.node.assignment(REF)
        world.fence = "lost"
        with pytest.raises(LeaseLost):
            await world.node.assignment(REF)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("is_shared", "batches", "may_have"),
    [
        (False, frozenset(), False),
        (False, frozenset({REF}), True),
        # While batches are not known, and when another container may have begun one since.
        (False, None, True),
        (True, frozenset(), True),
    ],
)
def test_batches_are_looked_for_unless_there_can_be_none(
    is_shared: bool, batches: frozenset[str] | None, may_have: bool
) -> None:
    world = World(is_shared=is_shared)
    assert not world.node.may_have_batches(REF)
    world.targets.learn(Snapshot(sensors={REF: sensor_type()}, batches=batches))
    assert world.node.may_have_batches(REF) is may_have
    assert not world.node.may_have_batches("p.Other")


@pytest.mark.parametrize("common", ["allow", "deny"])
@pytest.mark.parametrize("override", [None, "allow", "deny"])
def test_an_override_decides_what_a_sensor_may_do_to_shared_keys(common: str, override: str | None) -> None:
    world = World(global_write=common, decrypt_global=common)
    world.table.overrides[REF] = Overrides(global_write=override)
    asker = world.node.asker(REF)
    assert asker.writes_global is ((override or common) == "allow")
    assert asker.decrypts_global is (common == "allow")


def test_a_sensor_stops_when_it_is_asked_to_or_the_container_stops() -> None:
    world = World()
    assert not world.node.is_stopping(REF)
    for state, stops in [(State.RUNNING, False), (State.STOPPING, True), (State.STOPPED, False)]:
        world.table.move(Child(ref=REF, digest="d", state=state, since=0.0, reason=""))
        assert world.node.is_stopping(REF) is stops
    world.lifetime.stop()
    assert world.node.is_stopping(REF)


def test_triggers_of_the_container_s_own_are_dispatched_once_their_type_is_registered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    world.node.emit("core.st2.sensor.process_exit", {"id": "S"})
    assert world.dispatched == []
    exit_type = TriggerType(pack="core", name="st2.sensor.process_exit", payload_schema={"type": "object"})
    world.catalogue.learn([exit_type], [], [])
    world.node.emit("core.st2.sensor.process_exit", {"id": "S"})
    ((sensor, event),) = world.dispatched
    assert (sensor, event.trigger) == ("core", "core.st2.sensor.process_exit")
    # The container's own payload fits its schema: it need not be checked.
    assert event.schema is not None
    # A trigger that cannot be dispatched does not affect the others.
    assert "the outbox is full" in caplog.text
