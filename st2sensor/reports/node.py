"""The container's report about itself, for commands and pages. Times are seconds since the epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

CONTROL_SOCKET = "control.sock"
"""The file in a state directory through which commands reach its container."""

PAGE = 1000
"""Maximum number of sensors in one answer of the control socket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A condition that the node needs.

    :param name: `broker`, `database`, `outbox`, `routing keys`, `status page`, `leases`, or `sensors` (none keeps
        failing).
    :param reason: the problem and its consequence, in words; empty if there is none.
    """

    name: str
    ok: bool
    since: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SharingReport:
    """The container's part in sharing sensors.

    :param nodes: number of nodes by state.
    :param drained: whether this node is drained.
    :param sensors: number of sensors that should run on some node.
    :param held: number of these that this node holds.
    :param unheld: number of these that no node holds.
    :param lease_left: seconds until this node's sensors stop, unless it renews its leases.
    :param takeovers: number of leases taken over from dead containers.
    :param moves: number of leases handed over.
    :param losses: number of times that all leases were lost because they were not renewed in time.
    """

    nodes: Mapping[str, int]
    drained: bool
    sensors: int
    held: int
    unheld: int
    lease_left: float
    takeovers: int
    moves: int
    losses: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PushReport:
    """A push target. Counts are 0 when the container starts.

    :param url: scheme and host of its URL.
    :param lag: number of events that its cursor has not passed; its filters may not accept all of them.
    :param lag_seconds: seconds since the oldest event that it has not yet received left the outbox.
    :param delivered: number of events that it has taken.
    :param failures: number of rounds that it has not taken completely.
    :param gaps: number of times that the history was cut before it took all events.
    :param missed: maximum number of events that it lacks for this reason.
    :param problem: its current problem; empty if there is none.
    :param failing_since: time of its first failure since its last success; None if it does not fail.
    """

    name: str
    url: str
    lag: int
    lag_seconds: float
    delivered: int
    failures: int
    gaps: int
    missed: int
    problem: str
    failing_since: float | None

    @property
    def trouble(self) -> str:
        """Its current and past problems in a line; empty if there are none."""
        found = [self.problem] if self.problem else []
        if self.gaps:
            gaps = "1 gap" if self.gaps == 1 else f"{self.gaps} gaps"
            found.append(f"{gaps}: up to {self.missed} events were cut from the history before the target took them")
        return f"push to {self.name} ({self.url}): {'; '.join(found)}" if found else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReport:
    """The container.

    :param started: when the container started.
    :param source: the configuration files.
    :param summary: number of sensors in each state, in words.
    :param outbox_depth: number of triggers that wait for the broker.
    :param outbox_size: maximum number of triggers that may wait.
    :param outbox_bytes: bytes of the triggers that wait.
    :param outbox_max_bytes: maximum number of bytes that may wait.
    :param outbox_oldest: when the oldest waiting trigger was dispatched; None if none waits.
    :param latencies: number of publishing rounds by upper bounds of their duration.
    :param latency_sum: duration of all rounds, in seconds.
    :param memory: bytes of the container's own process.
    :param cpu: seconds of processor time of that process.
    :param notes: problems that do not affect anything the container needs.
    :param sharing: its part in sharing sensors; None if they are not shared.
    :param push: the push targets.
    :param history: why the history cannot be written; empty while it can, or if it is switched off.
    """

    name: str
    version: str
    pid: int
    started: float
    source: str
    summary: str
    checks: tuple[Check, ...]
    outbox_depth: int
    outbox_size: int
    outbox_bytes: int
    outbox_max_bytes: int
    outbox_oldest: float | None
    latencies: tuple[int, ...]
    latency_sum: float
    memory: int
    cpu: float
    notes: tuple[str, ...] = ()
    sharing: SharingReport | None = None
    push: tuple[PushReport, ...] = ()
    history: str = ""

    @property
    def is_ready(self) -> bool:
        return all(check.ok for check in self.checks)
