"""The container's reports about its sensors, for commands and pages. Times are seconds since the epoch."""

from __future__ import annotations

from dataclasses import dataclass

WAITING, DISABLED, ELSEWHERE, REFUSED, DOWN = "waiting", "disabled", "elsewhere", "refused", "down"
"""States of sensors that have no process."""

TURN = "its turn to start has not come yet"
"""The reason shown for a sensor that is waiting and will start soon."""

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
"""States of sensors, see SensorReport."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """An incident of a sensor.

    :param text: the incident in words, including an error's traceback.
    """

    at: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """The newest poll().

    :param at: when it began.
    :param seconds: its duration, or its duration so far if it is running.
    :param failed: whether it has ended with an error. A poll that finds nothing has not failed.
    """

    at: float
    seconds: float
    running: bool
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Hang:
    """A slow method of a sensor, or a slow call that it makes. A hang by itself is not a failure.

    :param what: the method or call, for example `poll()`.
    :param since: when it began.
    :param heard: when the sensor's process last sent a message; None for never.
    """

    what: str
    since: float
    heard: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something that is wrong with a sensor, according to st2sensor.trouble.

    :param kind: for example `failing` or `dead letters`.
    :param level: `error` or `warning`.
    :param text: one line. It does not mention the time that has passed, so that it stays the same.
    :param since: when it began or last happened; None if unknown.
    """

    kind: str
    level: str
    text: str
    since: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorReport:
    """One sensor.

    :param state: the state of its process, for example `running`; or one of: `disabled`; `elsewhere`: another node runs
        it; `waiting`: its turn has not come, or no node holds it; `refused`: its content was never accepted; `down`: no
        container runs.
    :param node: the node that holds it; None if none does, or sensors are not shared.
    :param fence: fence of its lease; None if `node` is None.
    :param since: when it entered this state; None if unknown.
    :param reason: why it entered this state, in words.
    :param restarts: number of times its process was started again since the container started.
    :param failures: number of failed exits in a row.
    :param failing: whether there were enough failures in a row to need attention, and the sensor has not dispatched
        since the last one.
    :param recovering: whether it had failed often enough for `failing` before this run, and has not yet run long enough
        to count as healthy.
    :param hang: a method that takes longer than 10 seconds and three poll intervals, or a call that waits for the
        container for longer than 10 seconds; None for none.
    :param next_start: when it starts again after a failure.
    :param refused: why the newest content on disk was refused, so that older content runs, or none.
    :param refused_types: why some of its trigger types were refused, one reason for each.
    :param missing_types: its trigger types that are not registered, though none was refused.
    :param held_back: number of its triggers that wait because the broker refuses their routing key, in words; empty
        for none.
    :param dropped: lines of its log that were dropped because they exceeded [sensorcontainer] output_rate.
    :param silent: the expectations that it does not meet, in words; empty if it meets all.
    :param silent_since: when it became silent; None if it is not.
    :param expect_event: seconds within which an operator expects an event; None for no expectation.
    :param expect_poll: seconds within which an operator expects a poll that succeeds; None for no expectation.
    :param failed_polls: number of polls that have ended with an error since the container started.
    :param polls: number of polls since the container started.
    :param poll_seconds: total duration of these polls.
    :param trigger: reference of the newest trigger's type.
    :param triggers_per_minute: triggers in the last minute.
    :param recent: triggers in each span of 10 seconds, oldest first.
    :param dispatched: triggers since the container started.
    :param invalid: triggers that failed validation.
    :param last_invalid: the newest invalid trigger, and why it failed.
    :param dead: triggers that became dead letters: invalid ones, those that the broker refused, and those that could
        not be encoded.
    :param unrouted: triggers that no queue has taken.
    :param held: triggers that wait because of the operator's limits for the sensor.
    :param duplicates: triggers that were dropped as repeats; `sampled_out`: triggers that were left out of a sample.
        Both are counted for as long as the outbox exists.
    :param limits: the operator's limits, in words; empty for none.
    :param memory: bytes, as of the last sample; `own_memory`: the part that no other process shares.
    :param cpu: seconds of processor time, as of the last sample.
    :param digest: digest of the code, metadata and configuration that run.
    :param troubles: everything that is wrong with it, the most important first.
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
    recovering: bool = False
    hang: Hang | None = None
    next_start: float | None = None
    last_exit: Notice | None = None
    last_error: Notice | None = None
    refused: str | None = None
    refused_types: tuple[str, ...] = ()
    missing_types: tuple[str, ...] = ()
    held_back: str = ""
    dropped: int = 0
    last_poll: Poll | None = None
    silent: str = ""
    silent_since: float | None = None
    expect_event: float | None = None
    expect_poll: float | None = None
    failed_polls: int = 0
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
    unrouted: int = 0
    held: int = 0
    duplicates: int = 0
    sampled_out: int = 0
    limits: str = ""
    memory: int | None = None
    own_memory: int | None = None
    cpu: float | None = None
    digest: str | None = None
    file: str | None = None
    poll_interval: float | None = None
    trigger_types: tuple[str, ...] = ()
    troubles: tuple[Trouble, ...] = ()
