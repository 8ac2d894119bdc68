"""Containers that share sensors, and the leases under which they hold them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A container that shares sensors with others, until it leaves or is evicted.

    :param id: unique id; a container that joins again gets a new one.
    :param node: the node's name.
    :param host: name of the host it runs on.
    :param pid: id of its process.
    :param started: when it joined, in seconds since the epoch; only for display.
    :param seen: when it last renewed, in seconds since the epoch; only for display.
    :param capacity: its share of the sensors, relative to the other members' capacities.
    :param labels: properties that sensors may require.
    :param http: HOST:PORT of its status page; empty if it has none.
    :param lease: seconds after its death within which its sensors run elsewhere.
    :param counter: grows with each renewal.
    :param token: random text that only the author of the last renewal knows.
    :param sensors: number of sensors it holds.
    :param handing: whether it is about to hand sensors over.
    :param leaving: whether it is about to hand over all of them.
    :param dead: whether it was evicted, so that it no longer holds anything.
    """

    id: str
    node: str
    host: str = ""
    pid: int = 0
    version: str = ""
    started: float = 0.0
    seen: float = 0.0
    capacity: float = 1.0
    labels: tuple[str, ...] = ()
    http: str = ""
    lease: float = 10.0
    counter: int = 0
    token: str = ""
    sensors: int = 0
    handing: bool = False
    leaving: bool = False
    dead: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """A member's renewal of its lease. `sensors`, `handing` and `leaving` are those of Member.

    :param counter: the member's counter before this renewal.
    :param token: random text that identifies this renewal if its answer is lost.
    """

    counter: int
    token: str
    sensors: int = 0
    handing: bool = False
    leaving: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to run a sensor.

    :param holder: id of the member that holds it; None if no member does.
    :param fence: number that grows each time a member takes the lease; 0 if none ever has.
    :param has_batches: whether some of the sensor's batches are still to be carried out.
    """

    sensor: str
    holder: str | None = None
    fence: int = 0
    has_batches: bool = False
