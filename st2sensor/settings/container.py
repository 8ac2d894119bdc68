"""Settings of the container and the sensors it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Restarts:
    """`[sensorcontainer] restart_*`: when a failed sensor starts again. The container never gives up.

    :param delay: seconds after the first failure; doubled after each further failure.
    :param delay_max: maximum number of seconds between two starts.
    :param jitter: share of the delay by which it is shortened or lengthened at random.
    :param healthy_after: seconds after which a run counts as healthy: the next failure then counts as the first.
    :param failing_after: failures in a row after which a sensor counts as failing.
    """

    delay: float = 1.0
    delay_max: float = 300.0
    jitter: float = 0.2
    healthy_after: float = 60.0
    failing_after: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """`[sensorcontainer]`, with `partition_provider = name:shared`.

    :param lease: seconds within which the sensors of a dead container run elsewhere.
    :param capacity: this container's share of the sensors, relative to the other containers' capacities.
    :param labels: this container's properties that sensors may need.
    :param moves_at_once: maximum number of sensors that are handed over at the same time to balance containers.
    """

    lease: float = 10.0
    capacity: float = 1.0
    labels: tuple[str, ...] = ()
    moves_at_once: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """`[sensorcontainer]`.

    :param state_dir: folder of the outbox, the wrappers' socket and the embedded database.
    :param resync_interval: seconds between two reads of the database if no change is announced.
    :param start_timeout: seconds within which setup() must be called.
    :param setup_timeout: seconds that setup() may take; None for no limit.
    :param poll_timeout: seconds that poll() may take; None for no limit.
    :param trigger_timeout: seconds that a call such as add_trigger() may take; None for no limit.
    :param stop_timeout: seconds after which sensors that are still stopping are killed; one deadline for all of them.
    :param restarts: when a failed sensor starts again.
    :param changes_at_once: maximum number of sensors that are started or restarted at the same time.
    :param output_rate: maximum number of lines per second from one sensor that go to the log; 0 for no limit.
    :param private_environment: name patterns of environment variables that sensors do not inherit.
    :param eventlet: `auto`, `always` or `never`: which sensors start with eventlet's monkey patches.
    :param sensor_ref: the only sensor to run; None for all.
    :param single_sensor_mode: whether `sensor_ref` is required.
    :param node_name: this node's name among the nodes that divide the sensors among themselves.
    :param partition_provider: how these nodes divide the sensors: `name`, and the options of that provider.
    :param sharing: how nodes share the sensors by leases; None if they do not.
    :param control_group: group that may use the control socket, if such a group exists.
    :param api_url: URL of StackStorm's API that is passed to sensors; None for none.
    :param api_token_file: file with a token for that API; None for none.
    :param http: host and port of the status page; None for no page.
    :param http_token: token that visitors of the page need; None for none.
    """

    state_dir: Path
    resync_interval: float
    start_timeout: float
    setup_timeout: float | None
    poll_timeout: float | None
    trigger_timeout: float | None
    stop_timeout: float
    restarts: Restarts
    changes_at_once: int
    output_rate: float
    private_environment: tuple[str, ...]
    eventlet: str
    sensor_ref: str | None
    single_sensor_mode: bool
    node_name: str
    partition_provider: Mapping[str, str]
    sharing: Sharing | None
    control_group: str
    api_url: str | None
    api_token_file: Path | None
    http: tuple[str, int] | None
    http_token: str | None
