"""What the container tells of itself and of its sensors, to commands and pages. Times are seconds since the epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

CONTROL_SOCKET = "control.sock"
"""In a state directory: where commands ask."""

PAGE = 1000
"""Sensors that one answer of the control socket tells of, at most."""

WAITING, DISABLED, ELSEWHERE, REFUSED, DOWN = "waiting", "disabled", "elsewhere", "refused", "down"
"""States of sensors that have no process."""

STATES = (
    "starting",
    "running",
    "stopping",
    "stopped",
    "backoff",
    "finished",
    WAITING,
    DISABLED,
    ELSEWHERE,
    REFUSED,
    DOWN,
)
"""Of sensors: see SensorReport."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that happened to a sensor.

    :param text: in words; of an error with its traceback.
    """

    at: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """The newest poll().

    :param at: when it began.
    :param seconds: how long it took, or takes.
    """

    at: float
    seconds: float
    running: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Hang:
    """A method of a sensor, or a call that it makes, takes long. That is no failure by itself.

    :param what: as in `poll()`.
    :param since: when it began.
    :param heard: when the sensor's process last said something; None for never.
    """

    what: str
    since: float
    heard: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorReport:
    """One sensor.

    :param state: of a process's life as in `running`; or `disabled`, `elsewhere` for one that another node runs,
        `waiting` for one whose turn has not come, or that no node holds, `refused` for content that was never
        registered, `down` where no container runs.
    :param since: when it entered that state; None where nobody knows.
    :param reason: why it did, in words.
    :param restarts: how often its process was started again since the container started.
    :param failures: exits in a row that were failures.
    :param failing: whether these are so many that somebody should look, and it does not dispatch again.
    :param hang: what takes longer than 10 seconds and three poll intervals; None for nothing.
    :param next_start: when it is started again after a failure.
    :param refused: what is wrong with the newest content on disk, so that an older one runs, or none.
    :param refused_types: why some of its trigger types were refused, one for each.
    :param held_back: how many of its triggers wait because the broker refuses their routing key; empty for none.
    :param trigger: reference of the last trigger's type.
    :param triggers_per_minute: as of the last minute.
    :param recent: triggers in spans of 10 seconds, oldest first.
    :param dispatched: triggers since the container started; `invalid` were none that could be published, and `dead` are
        these and what the broker refused.
    :param last_invalid: the newest of those, and why.
    :param dropped: lines of its log that were dropped, because it says more than [sensorcontainer] output_rate.
    :param polls: since the container started; `poll_seconds` all of them together.
    :param memory: bytes, as of the last sample; `cpu` seconds of processor time.
    :param digest: of the code, metadata and configuration that run.
    :param node: that holds it, and `fence` of its lease; None for nobody, and where sensors are not shared.
    """

    ref: str
    state: str
    node: str | None = None
    fence: int | None = None
    since: float | None = None
    reason: str = ""
    pid: int | None = None
    restarts: int = 0
    failures: int = 0
    failing: bool = False
    hang: Hang | None = None
    next_start: float | None = None
    last_exit: Notice | None = None
    last_error: Notice | None = None
    refused: str | None = None
    refused_types: tuple[str, ...] = ()
    held_back: str = ""
    dropped: int = 0
    last_poll: Poll | None = None
    polls: int = 0
    poll_seconds: float = 0.0
    trigger: str | None = None
    triggered_at: float | None = None
    triggers_per_minute: int = 0
    recent: tuple[int, ...] = ()
    dispatched: int = 0
    invalid: int = 0
    last_invalid: Notice | None = None
    dead: int = 0
    memory: int | None = None
    cpu: float | None = None
    digest: str | None = None
    file: str | None = None
    poll_interval: float | None = None
    trigger_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Something the node needs: `broker`, `database`, `outbox`, `routing keys` that it may use, `leases`, or that no
    sensor crashes again and again.

    :param reason: what is wrong and what that means; empty when nothing is.
    """

    name: str
    ok: bool
    since: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SharingReport:
    """How the container shares sensors with others.

    :param nodes: how many there are, by state.
    :param drained: whether this one is to hold nothing.
    :param sensors: that some node is to run; this one holds `held` of them, and nobody `unheld`.
    :param lease_left: seconds until its sensors stop, unless it renews its leases.
    :param takeovers: leases that it has taken from dead containers, and `moves` those that it has handed over.
    :param losses: how often it has lost all, because it did not renew them in time.
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
class NodeReport:
    """The container.

    :param started: when.
    :param source: the configuration files.
    :param summary: how many sensors are in which state, for people.
    :param outbox_depth: triggers that wait for the broker, of `outbox_size` that may; the oldest was dispatched at
        `outbox_oldest`. They are `outbox_bytes`, of `outbox_max_bytes`.
    :param latencies: rounds of publishing by upper bounds in seconds; `latency_sum` are their seconds.
    :param memory: bytes of the container alone; `cpu` seconds of processor time.
    :param notes: what is worth a look, though nothing that the container needs is missing.
    :param sharing: how it shares sensors; None where they are not shared.
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

    @property
    def is_ready(self) -> bool:
        return all(check.ok for check in self.checks)
