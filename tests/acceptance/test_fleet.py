"""The harness of tests/fleet, with containers in network namespaces."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.fleet.checker import Run, check
from tests.fleet.fleet import Fleet, ready
from tests.fleet.ledger import now
from tests.fleet.network import available, refused
from tests.fleet.servers import Servers, running
from tests.plugins.patience import FACTOR, LATER, SOON
from tests.support.servers import mongodb, rabbitmq
from tests.support.servers.waiting import eventually


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    if refused():
        pytest.skip("this machine lets nobody make network namespaces, not even root: run the tests where it does")
    if not available():
        missing("no network namespaces: run as root, with iproute2")
    if mongodb.executable() is None or rabbitmq.executable() is None:
        missing("no mongod or no RabbitMQ: as root, make test installs both")
    with (
        tempfile.TemporaryDirectory(prefix="st2s-", ignore_cleanup_errors=True) as name,
        running(Path(name), ["c1", "c2", "c3"]) as started,
    ):
        yield started


IN_FLIGHT = 2 * FACTOR
"""Seconds in which events that were sent before a takeover arrive."""


@pytest.mark.soak(minutes=2)
def test_nothing_is_lost_or_repeated_while_the_database_is_cut_off(folder: Path, servers: Servers) -> None:
    with ready(folder / "w", servers, sensors=4, provider="name:default") as fleet:
        node = fleet.nodes["c1"]
        node.start()
        fleet.wait_until_all_count()
        begin = now()

        servers.network.cut("c1", "db")
        cut = now()
        node.container.wait_for_log("the datastore's calls wait")
        servers.network.heal("c1", "db")
        fleet.wait_until_all_count()

        end = now()
        assert node.stop() == 0
        records, lines = fleet.ledger.records(), fleet.journal.lines()
        run = Run(
            records=records, lines=lines, observed=(begin, end), gap=SOON, in_flight=IN_FLIGHT, excused=[(cut, end)]
        )
        assert check(run, fleet.sensors) == []
        assert {record.fence for record in records} == {None}


LEASE = min(3.0 * FACTOR, 10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault of container c1.

    :param takes_over: whether the others have to run its sensors in the meantime.
    """

    name: str
    begin: Callable[[Fleet, Servers], None]
    end: Callable[[Fleet, Servers], None]
    takes_over: bool


def cut(*targets: str, takes_over: bool) -> Fault:
    return Fault(
        name=f"no way to {' and '.join(targets)}",
        begin=lambda _, servers: servers.network.cut("c1", *targets),
        end=lambda _, servers: servers.network.heal("c1", *targets),
        takes_over=takes_over,
    )


FAULTS = [
    Fault(
        name="killed",
        begin=lambda fleet, _: fleet.nodes["c1"].kill(),
        end=lambda fleet, _: fleet.nodes["c1"].start(),
        takes_over=True,
    ),
    Fault(
        name="paused",
        begin=lambda fleet, _: fleet.nodes["c1"].pause(),
        end=lambda fleet, _: fleet.nodes["c1"].resume(),
        takes_over=True,
    ),
    Fault(
        name="frozen with its sensors",
        begin=lambda fleet, _: fleet.nodes["c1"].pause_all(),
        end=lambda fleet, _: fleet.nodes["c1"].resume_all(),
        takes_over=True,
    ),
    Fault(
        name="another primary",
        begin=lambda _, servers: servers.replica_set.step_down(),
        end=lambda _, servers: servers.replica_set.wait(),
        takes_over=False,
    ),
    cut("db", takes_over=True),
    cut("mq", takes_over=False),
    cut("db", "mq", takes_over=True),
    cut("others", takes_over=False),
]


def held(fleet: Fleet, name: str) -> set[str]:
    """Return the sensors that run in a container."""
    return set(fleet.nodes[name].container.wrappers())


def fences(fleet: Fleet) -> dict[str, int]:
    """Return the highest fence that each sensor was set up under."""
    return {line.sensor: line.fence or 0 for line in fleet.journal.lines() if line.event == "setup"}


def wait_shared_out(fleet: Fleet) -> None:
    eventually("each container runs some", lambda: all(held(fleet, name) for name in fleet.nodes), LATER)
    fleet.wait_until_all_count()


@pytest.mark.soak(minutes=4)
@pytest.mark.parametrize("faults", [pytest.param(FAULTS, id="every kind")])
def test_a_fault_is_survived_without_a_loss_a_repeat_or_two_holders(
    folder: Path, servers: Servers, faults: list[Fault]
) -> None:
    with ready(folder / "w", servers, sensors=9, lease=LEASE) as fleet:
        for node in fleet.nodes.values():
            node.start()
        wait_shared_out(fleet)
        begin = now()
        cuts: list[tuple[float, float]] = []
        for fault in faults:
            lost, before, began = held(fleet, "c1"), fences(fleet), now()
            fault.begin(fleet, servers)
            if fault.takes_over:
                taken = lambda: all(fences(fleet)[ref] > before[ref] for ref in lost)  # noqa: B023, E731 (used up here)
                eventually(f"{fault.name}: the others run its sensors", taken, LATER)
            else:
                eventually("longer than a lease", lambda: now() > began + 1.5 * LEASE)  # noqa: B023
                assert held(fleet, "c1") >= lost, fault.name
            fault.end(fleet, servers)
            if "mq" in fault.name:
                cuts.append((began, now()))
            wait_shared_out(fleet)
        end = now()
        fleet.stop()
        run = Run(
            records=fleet.ledger.records(),
            lines=fleet.journal.lines(),
            observed=(begin, end),
            gap=SOON,
            in_flight=IN_FLIGHT,
            cuts=cuts,
        )
        assert check(run, fleet.sensors) == []


@pytest.mark.soak(minutes=2)
def test_what_was_accepted_under_a_lease_that_is_lost_arrives_and_is_marked(folder: Path, servers: Servers) -> None:
    with ready(folder / "w", servers, sensors=9, lease=LEASE) as fleet:
        for node in fleet.nodes.values():
            node.start()
        wait_shared_out(fleet)
        mine, before = held(fleet, "c1"), fences(fleet)
        servers.network.cut("c1", "mq")
        began = now()
        # The first events are on their way when the link is cut: nobody can mark them any more.
        eventually("more wait", lambda: min(numbers(fleet, ref, began) for ref in mine) >= 4)
        servers.network.cut("c1", "db")
        eventually("the others run its sensors", lambda: all(fences(fleet)[ref] > before[ref] for ref in mine), LATER)
        fleet.wait_until_all_count()
        servers.network.heal("c1", "mq")
        servers.network.heal("c1", "db")
        wait_shared_out(fleet)
        fleet.stop()
        late = {item.sensor for item in fleet.ledger.records() if item.late}
        assert late == mine
        end = now()
        run = Run(
            records=fleet.ledger.records(),
            lines=fleet.journal.lines(),
            observed=(began, end),
            gap=SOON,
            in_flight=IN_FLIGHT,
        )
        assert [found for found in check(run, fleet.sensors) if found.rule != "marked"] == []


def numbers(fleet: Fleet, ref: str, since: float) -> int:
    """Return how many events of a sensor were accepted since a moment."""
    lines = fleet.journal.lines()
    return len([line for line in lines if line.sensor == ref and line.event == "accepted" and line.at > since])
