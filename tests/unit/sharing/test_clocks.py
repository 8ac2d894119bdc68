"""Whatever happens to clocks, machines and the database: no sensor is held twice, and all are held in the end."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from st2sensor.errors import StorageUnavailable
from tests.plugins.examples import examples
from tests.unit.sharing.test_participant import LEASE, TIMES, Node, World

SENSORS: dict[str, tuple[str, ...]] = {f"p.S{number}": () for number in range(4)}

NODES = 2

HOURS = 7200.0

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["pass", "pause", "freeze", "go on", "set", "correct", "cut off", "connect"]),
        st.integers(0, NODES - 1),
        st.sampled_from([-HOURS, -5.0, -1.0, -0.5, 0.1, 0.3, 0.5, 1.0, 2.0, 5.0, 8.0, 13.0, HOURS]),
    ),
    max_size=25,
)


class Clocks:
    """A world whose machines are paused while boot clocks continue or stand still, and wall clocks are changed."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.nodes = [world.node(f"n{number}") for number in range(NODES)]
        self.paused: set[Node] = set()
        self.frozen: set[Node] = set()
        self.turns()

    def act(self, what: str, node: Node, amount: float) -> None:
        if what == "pass":
            self.let_pass(min(abs(amount), LEASE))
        elif what == "pause":
            self.paused.add(node)
        elif what == "freeze":
            self.paused.add(node)
            self.frozen.add(node)
        elif what == "go on":
            self.paused.discard(node)
            self.frozen.discard(node)
        elif what == "set" and node not in self.paused and not node.leases.is_away:
            # It has renewed since it was paused: a clock set back by exactly one pause cannot be detected.
            self.turn(node)
            node.set_by += amount
            self.check()
            self.turn(node)
        elif what == "correct" and node not in self.paused and not node.leases.is_away:
            node.set_by += 0.9 * TIMES.tolerance * (1 if amount > 0 else -1)
            self.check()
            self.turn(node)
        elif what in ("cut off", "connect"):
            node.leases.is_away = what == "cut off"

    def let_pass(self, seconds: float) -> None:
        until = self.world.now + seconds
        while self.world.now < until:
            passed = min(TIMES.tick / 2, until - self.world.now)
            self.world.now += passed
            for node in self.frozen:
                node.uncounted += passed
            self.check()
            self.turns()

    def turns(self) -> None:
        for node in self.nodes:
            if node not in self.paused:
                self.turn(node)

    def turn(self, node: Node) -> None:
        with suppress(StorageUnavailable):
            node.turn(SENSORS)
        self.check()

    def check(self) -> None:
        assert not self.world.doubles()


@contextmanager
def a_world() -> Iterator[World]:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        try:
            yield world
        finally:
            for node in world.nodes:
                node.leases.close()


@settings(max_examples=examples(60), deadline=None)
@given(STEPS)
def test_no_sensor_is_held_twice_and_none_by_nobody_in_the_end(steps: list[tuple[str, int, float]]) -> None:
    with a_world() as world:
        clocks = Clocks(world)
        for what, number, amount in steps:
            clocks.act(what, clocks.nodes[number], amount)
        for node in clocks.nodes:
            node.leases.is_away = False
        clocks.paused.clear()
        clocks.frozen.clear()
        clocks.let_pass(2 * LEASE)
        assert set().union(*(node.holdings.fences for node in clocks.nodes)) == SENSORS.keys()
        assert all(node.holdings.seconds_left for node in clocks.nodes)
