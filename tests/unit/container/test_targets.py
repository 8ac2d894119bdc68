"""Which sensors should run here, according to storage and the leases."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import cast

from st2sensor.container.desired.membership import Membership
from st2sensor.container.desired.snapshot import Snapshot
from st2sensor.container.targets import Targets
from st2sensor.models import Overrides, Registration
from tests.support.supervised_node import sensor_type


def registration(ref: str, overrides: Overrides) -> Registration:
    pack, _, name = ref.partition(".")
    return Registration(pack=pack, name=name, metadata_file=f"sensors/{name}.yaml", digest="1", overrides=overrides)


def snapshot(*refs: str, overrides: Overrides | None = None) -> Snapshot:
    return Snapshot(
        sensors={ref: sensor_type(ref) for ref in refs},
        registrations={ref: registration(ref, overrides or Overrides()) for ref in refs},
    )


class Leases:
    """A membership that holds the sensors that a test sets."""

    def __init__(self, **runs: int) -> None:
        self.runs = {f"p.{name}": fence for name, fence in runs.items()}
        self.turns = 0

    def poke(self) -> None:
        self.turns += 1

    def why_not(self, ref: str) -> str:
        return f"the leases say so of {ref}"


def shared(targets: Targets, leases: Leases) -> Targets:
    targets.membership = cast(Membership, leases)
    return targets


def test_enabled_sensors_of_this_node_run_and_the_supervisor_is_woken() -> None:
    wake = asyncio.Event()
    targets = Targets(wake)
    known = snapshot("p.A", "p.B", "p.C")
    disabled = {**known.sensors, "p.B": replace(known.sensors["p.B"], enabled=False)}
    targets.learn(replace(known, sensors=disabled, own=frozenset({"p.A", "p.B"})))
    assert list(targets.desired) == ["p.A"]
    assert wake.is_set()


def test_one_sensor_alone_runs_whichever_node_owns_it_and_even_if_disabled() -> None:
    targets = Targets(asyncio.Event(), only="p.B")
    known = snapshot("p.A", "p.B")
    disabled = {ref: replace(sensor, enabled=False) for ref, sensor in known.sensors.items()}
    targets.learn(replace(known, sensors=disabled, own=frozenset()))
    assert list(targets.desired) == ["p.B"]


def test_with_shared_sensors_the_held_ones_run_and_another_fence_means_another_process() -> None:
    leases = Leases(A=1)
    targets = shared(Targets(asyncio.Event()), leases)
    targets.learn(snapshot("p.A", "p.B"))
    (before,) = targets.desired.items()
    assert before[0] == "p.A"
    # The needs include sensors that other containers hold.
    assert targets.needs == {"p.A": (), "p.B": ()}
    assert leases.turns == 1
    leases.runs = {"p.A": 2}
    targets.choose()
    (after,) = targets.desired.items()
    assert after[0] == "p.A"
    assert after[1] != before[1]


def test_a_lease_alone_makes_nothing_run_that_is_not_registered() -> None:
    targets = shared(Targets(asyncio.Event()), Leases(A=1))
    targets.choose()
    assert (targets.desired, targets.needs) == ({}, None)
    targets.learn(snapshot())
    assert targets.desired == {}


def test_the_reason_of_a_stop_names_its_cause() -> None:
    targets = Targets(asyncio.Event())
    targets.learn(snapshot("p.A"))
    assert targets.why_unwanted("p.B") == "it is disabled or unregistered"
    shared(targets, Leases())
    assert targets.why_unwanted("p.A") == "the leases say so of p.A"
    assert targets.why_unwanted("p.B") == "it is disabled or unregistered"


def test_listeners_hear_of_a_snapshot_when_it_is_already_chosen_from() -> None:
    targets, heard = Targets(asyncio.Event()), []
    targets.listen(lambda known: heard.append((len(known.sensors), len(targets.desired))))
    targets.learn(snapshot("p.A"))
    targets.learn(snapshot("p.A", "p.B"))
    assert heard == [(1, 1), (2, 2)]


def test_in_the_foreground_no_method_has_a_limit() -> None:
    overrides = Overrides(setup_timeout=5.0, poll_timeout=5.0, start_timeout=5.0)
    unlimited = Targets(asyncio.Event(), unlimited=True)
    unlimited.learn(snapshot("p.A", overrides=overrides))
    assert unlimited.overrides_of("p.A") == replace(overrides, setup_timeout=0.0, poll_timeout=0.0, trigger_timeout=0.0)
    limited = Targets(asyncio.Event())
    assert limited.overrides_of("p.A") == Overrides()
    limited.learn(snapshot("p.A", overrides=overrides))
    assert limited.overrides_of("p.A") == overrides


def test_a_rotated_secret_changes_the_digest_of_its_sensor_alone() -> None:
    targets = Targets(asyncio.Event())
    targets.learn(snapshot("p.A", "p.B"))
    before = dict(targets.desired)
    targets.rotate("p.A")
    assert targets.desired["p.A"] != before["p.A"]
    assert targets.desired["p.B"] == before["p.B"]
    rotated = dict(targets.desired)
    targets.learn(snapshot("p.A", "p.B"))
    assert dict(targets.desired) == rotated
