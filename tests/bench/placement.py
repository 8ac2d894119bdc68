"""Measures how evenly placement spreads sensors over members, and how few move when a member joins or leaves.

The draws of sharing/placement.py are computed here for many sensors at once, and compared with its targets on a sample.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from st2sensor.models import Member
from st2sensor.sharing.placement import Placement, hash_of
from tests.support.workspace import Workspace

SIZES = [(3, 60), (10, 1000), (100, 100_000), (1000, 1_000_000)]
"""Numbers of members and of sensors."""

ALIKE, UNLIKE = (1.0,), (1.0, 2.0, 4.0)
"""Capacities that the members have in turn."""

SAMPLE = 1000
"""Number of sensors in each run whose targets are compared."""

CHUNK = 1 << 14
"""Number of sensors that are drawn at once, so that they stay in the processor's cache."""

Hashes = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Targets:
    """The target of each sensor, as an index of members.

    :param now: with all members except the last; :param joined: with all members.
    :param left: with neither the last nor the first.
    """

    now: Indices
    joined: Indices
    left: Indices


def report(workspace: Workspace) -> None:  # noqa: ARG001 (it needs no server)
    """Print two tables. Fails if more sensors move than necessary, or if Placement has other targets."""
    alike = Table(
        *("members", "sensors", "most / mean", "least / mean", "deviation / chance's", "one joins, moved / must"),
        *("one leaves, moved / must", "target() takes"),
        title="placement of sensors on members that are alike",
    )
    unlike = Table(
        *("members", "sensors", *(f"capacity {capacity:g}: least, mean, most" for capacity in UNLIKE)),
        title="placement on members of capacities 1, 2 and 4 in turn: sensors of each, as parts of its fair share",
    )
    for count, sensors in SIZES:
        refs = [f"pack{number % 97}.Sensor{number}" for number in range(sensors)]
        seeds = np.array([hash_of(ref) for ref in refs], dtype=np.uint64)
        members = members_of(count + 1, ALIKE)
        targets = targets_of(seeds, members)
        seconds = compare(refs, members, targets)
        takes = f"{1e6 * seconds:.0f} µs"
        alike.add_row(str(count), f"{sensors:,}", *balance(targets.now, count), *moves(targets, count), takes)
        members = members_of(count + 1, UNLIKE)
        targets = targets_of(seeds, members)
        compare(refs, members, targets)
        moves(targets, count)
        unlike.add_row(str(count), f"{sensors:,}", *shares(targets.now, members[:-1]))
    console = Console(width=150)
    console.print(alike)
    console.print(unlike)


def members_of(count: int, capacities: Sequence[float]) -> list[Member]:
    """Return members that have the capacities in turn."""
    return [
        Member(id=f"id{number}", node=f"node{number}", capacity=capacities[number % len(capacities)])
        for number in range(count)
    ]


def targets_of(seeds: Hashes, members: Sequence[Member]) -> Targets:
    """:param seeds: the sensors' hashes."""
    targets = Targets(now=np.empty(len(seeds), int), joined=np.empty(len(seeds), int), left=np.empty(len(seeds), int))
    with ThreadPoolExecutor() as pool:
        for _ in pool.map(lambda start: fill(targets, seeds, members, start), range(0, len(seeds), CHUNK)):
            pass
    return targets


def fill(targets: Targets, seeds: Hashes, members: Sequence[Member], start: int) -> None:
    """Find the targets of one chunk."""
    chunk = seeds[start : start + CHUNK]
    part = slice(start, start + len(chunk))
    smallest, whose = np.full(len(chunk), np.inf), np.zeros(len(chunk), int)
    first, *middle, last = enumerate(members)
    for found, more in ((targets.left, middle), (targets.now, [first]), (targets.joined, [last])):
        for index, member in more:
            drawn = draws(chunk, np.uint64(hash_of(member.node)), member.capacity)
            better = np.flatnonzero(drawn < smallest)
            smallest[better] = drawn[better]
            whose[better] = index
        found[part] = whose


def draws(sensors: Hashes, node: np.uint64, capacity: float) -> Floats:
    """Draw as `placement.draw` does, for all sensors at once: in place, because memory access takes the time."""
    bits = sensors ^ node
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        bits ^= bits >> np.uint64(33)
        bits *= np.uint64(factor)
    bits ^= bits >> np.uint64(33)
    bits >>= np.uint64(11)
    uniform = bits.astype(float)
    uniform += 0.5
    uniform *= 2.0**-53
    np.log(uniform, out=uniform)
    uniform /= -capacity
    return uniform


def compare(refs: Sequence[str], members: Sequence[Member], targets: Targets) -> float:
    """Fail unless Placement has the same targets; return the seconds that it took for one."""
    sample = random.Random(1).sample(range(len(refs)), min(SAMPLE, len(refs)))
    took = 0.0
    for found, there in ((targets.left, members[1:-1]), (targets.now, members[:-1]), (targets.joined, members)):
        placement = Placement(there)
        began = time.perf_counter()
        expected = [placement.target(refs[number]) for number in sample]
        took += time.perf_counter() - began
        assert [members[found[number]].id for number in sample] == expected, "Placement has other targets"
    return took / (3 * len(sample))


def balance(targets: Indices, count: int) -> tuple[str, str, str]:
    """Return the most and the fewest sensors of a member, and their deviation relative to a random choice's."""
    held = np.bincount(targets, minlength=count)
    by_chance = np.sqrt(held.mean() * (1 - 1 / count))
    return f"{held.max() / held.mean():.3f}", f"{held.min() / held.mean():.3f}", f"{held.std() / by_chance:.2f}"


def moves(targets: Targets, count: int) -> tuple[str, str]:
    """Return how many sensors move when the last member joins and when the first leaves. Fails if too many move."""
    return (
        moved(targets.now != targets.joined, targets.joined == count),
        moved(targets.now != targets.left, targets.now == 0),
    )


def moved(does: npt.NDArray[np.bool_], must: npt.NDArray[np.bool_]) -> str:
    assert np.array_equal(does, must), f"{does.sum()} sensors move, of which {must.sum()} must"
    return f"{100 * does.mean():.3f} % / {100 * must.mean():.3f} % = {does.sum() / must.sum():.1f}"


def shares(targets: Indices, members: Sequence[Member]) -> list[str]:
    """Return the sensors of the members of each capacity, relative to their fair share."""
    capacities = np.array([member.capacity for member in members])
    parts = np.bincount(targets, minlength=len(members)) / (len(targets) * capacities / capacities.sum())
    found = [parts[capacities == capacity] for capacity in UNLIKE]
    return [f"{part.min():.3f}, {part.mean():.3f}, {part.max():.3f}" for part in found]
