"""The container's metrics in Prometheus' format."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from st2sensor.dispatch.traffic import LATENCIES
from st2sensor.reports import ELSEWHERE, STATES, NodeReport, PushReport, SensorReport, SharingReport

CONTENT_TYPE = CONTENT_TYPE_LATEST

COUNTERS: dict[str, tuple[str, Callable[[SensorReport], float]]] = {
    "st2sensor_sensor_restarts": ("Starts of a sensor's process after its first.", lambda report: report.restarts),
    "st2sensor_sensor_cpu_seconds": ("Processor time of a sensor's process.", lambda report: report.cpu or 0.0),
    "st2sensor_sensor_polls_failed": ("Polls that ended with an error.", lambda report: report.failed_polls),
    "st2sensor_triggers_dispatched": ("Triggers put into the outbox.", lambda report: report.dispatched),
    "st2sensor_triggers_invalid": (
        "Triggers that were not registered or did not fit their schema.",
        lambda report: report.invalid,
    ),
    "st2sensor_triggers_dead": (
        "Triggers that became dead letters: invalid ones, and those that the broker refused.",
        lambda report: report.dead,
    ),
    "st2sensor_triggers_unrouted": ("Triggers that no queue has taken.", lambda report: report.unrouted),
    "st2sensor_triggers_duplicates": ("Triggers dropped as repeats of others.", lambda report: report.duplicates),
    "st2sensor_triggers_sampled_out": ("Triggers left out of a sample.", lambda report: report.sampled_out),
}
"""Counters for each sensor, with help and value."""

GAUGES: dict[str, tuple[str, Callable[[SensorReport], float | None]]] = {
    "st2sensor_sensor_running": ("Whether a sensor is running.", lambda report: report.state == "running"),
    "st2sensor_sensor_failing": ("Whether a sensor keeps failing.", lambda report: report.failing),
    "st2sensor_sensor_hang_seconds": (
        "How long a sensor has been hanging in a method or call; 0 if it does not hang.",
        lambda report: time.time() - report.hang.since if report.hang else 0.0,
    ),
    "st2sensor_sensor_silent": (
        "Whether a sensor has been quiet for longer than its operator expects.",
        lambda report: report.silent != "",
    ),
    "st2sensor_sensor_refused": (
        "Whether registration refused the newest content of a sensor.",
        lambda report: report.refused is not None,
    ),
    "st2sensor_sensor_poll_interval_seconds": (
        "Time between two polls of a sensor, if its metadata sets it.",
        lambda report: report.poll_interval,
    ),
    "st2sensor_triggers_held": ("Triggers that wait because of an operator's limits.", lambda report: report.held),
    "st2sensor_sensor_memory_bytes": ("Memory of a sensor's processes.", lambda report: report.memory),
    "st2sensor_sensor_last_trigger_timestamp_seconds": (
        "When a sensor dispatched its last trigger.",
        lambda report: report.triggered_at,
    ),
    "st2sensor_sensor_last_poll_timestamp_seconds": (
        "When a sensor's last poll() began.",
        lambda report: report.last_poll.at if report.last_poll else None,
    ),
    "st2sensor_sensor_last_poll_duration_seconds": (
        "How long a sensor's last poll() took, or has taken so far.",
        lambda report: report.last_poll.seconds if report.last_poll else None,
    ),
}
"""Gauges for each sensor, with help and value. A value of None omits the sample."""

PUSH_GAUGES: dict[str, tuple[str, Callable[[PushReport], float]]] = {
    "st2sensor_push_lag": ("Events that a push target's cursor has not passed.", lambda report: report.lag),
    "st2sensor_push_lag_seconds": (
        "How long ago the oldest event that a push target lacks left the outbox.",
        lambda report: report.lag_seconds,
    ),
}
"""Gauges for each push target, with help and value."""

PUSH_COUNTERS: dict[str, tuple[str, Callable[[PushReport], float]]] = {
    "st2sensor_push_delivered": ("Events that a push target has taken.", lambda report: report.delivered),
    "st2sensor_push_failures": ("Attempts that a push target failed.", lambda report: report.failures),
    "st2sensor_push_gaps": (
        "Times that the history was cut before a push target took all events.",
        lambda report: report.gaps,
    ),
    "st2sensor_push_missed": (
        "Maximum number of events that a push target lacks because the history was cut.",
        lambda report: report.missed,
    ),
}
"""Counters for each push target, with help and value."""

SHARED_GAUGES: dict[str, tuple[str, Callable[[SharingReport], float]]] = {
    "st2sensor_sensors_held": ("Sensors that this container holds.", lambda report: report.held),
    "st2sensor_sensors_unheld": (
        "Sensors that should run, but that no container holds.",
        lambda report: report.unheld,
    ),
    "st2sensor_lease_remaining_seconds": (
        "Time until this container's sensors stop, unless it renews its leases.",
        lambda report: report.lease_left,
    ),
}
SHARED_COUNTERS: dict[str, tuple[str, Callable[[SharingReport], float]]] = {
    "st2sensor_lease_takeovers": (
        "Leases that this container has taken from dead containers.",
        lambda report: report.takeovers,
    ),
    "st2sensor_lease_moves": ("Leases that this container has handed over to others.", lambda report: report.moves),
    "st2sensor_lease_losses": (
        "Times that this container lost all leases because it did not renew them in time.",
        lambda report: report.losses,
    ),
}
"""Metrics of a container that shares sensors. Other containers have no samples for them."""


def exposed(node: NodeReport, sensors: Sequence[SensorReport]) -> bytes:
    """Return the page that Prometheus scrapes."""
    registry = CollectorRegistry()
    registry.register(_Collector(node, sensors))
    return generate_latest(registry)


class _Collector(Collector):
    def __init__(self, node: NodeReport, sensors: Sequence[SensorReport]) -> None:
        self._node = node
        self._sensors = sensors

    def collect(self) -> Iterable[Metric]:
        yield from _of_node(self._node)
        yield from _of_sensors(self._sensors)


def _of_node(node: NodeReport) -> Iterable[Metric]:
    info = InfoMetricFamily("st2sensor", "The container.")
    info.add_metric([], {"version": node.version, "node": node.name})
    yield info
    up = {check.name: check.ok for check in node.checks}
    age = 0.0 if node.outbox_oldest is None else max(0.0, time.time() - node.outbox_oldest)
    for name, text, value in (
        ("st2sensor_broker_up", "Whether the broker can be reached.", up["broker"]),
        ("st2sensor_database_up", "Whether the database can be reached.", up["database"]),
        ("st2sensor_outbox_has_room", "Whether the outbox takes triggers without waiting.", up["outbox"]),
        ("st2sensor_outbox_depth", "Triggers waiting for the broker.", node.outbox_depth),
        (
            "st2sensor_outbox_capacity",
            "Triggers that may wait for the broker before dispatch() waits.",
            node.outbox_size,
        ),
        ("st2sensor_outbox_head_age_seconds", "How long the oldest waiting trigger has waited.", age),
        ("st2sensor_history_writable", "Whether events can be recorded in the history.", not node.history),
        ("st2sensor_container_memory_bytes", "Memory of the container, without its sensors.", node.memory),
        ("st2sensor_container_start_time_seconds", "When the container started.", node.started),
    ):
        yield GaugeMetricFamily(name, text, value=float(value))
    yield CounterMetricFamily("st2sensor_container_cpu_seconds", "Processor time of the container.", value=node.cpu)
    yield _latency(node)
    yield from _of_push(node.push)
    yield from _of_sharing(node.sharing, up.get("leases"))


def _of_push(targets: Sequence[PushReport]) -> Iterable[Metric]:
    for kind, measures in ((GaugeMetricFamily, PUSH_GAUGES), (CounterMetricFamily, PUSH_COUNTERS)):
        for name, (text, measure) in measures.items():
            family = kind(name, text, labels=["target"])
            for report in targets:
                family.add_metric([report.name], float(measure(report)))
            yield family


def _of_sharing(sharing: SharingReport | None, is_renewed: bool | None) -> Iterable[Metric]:
    renewed = GaugeMetricFamily("st2sensor_leases_renewed", "Whether this container renews its leases.", labels=[])
    nodes = GaugeMetricFamily("st2sensor_nodes", "Nodes that share sensors, by state.", labels=["state"])
    if is_renewed is not None:
        renewed.add_metric([], is_renewed)
    for state, number in (sharing.nodes if sharing else {}).items():
        nodes.add_metric([state], number)
    yield renewed
    yield nodes
    for kind, shared in ((GaugeMetricFamily, SHARED_GAUGES), (CounterMetricFamily, SHARED_COUNTERS)):
        for name, (text, measure) in shared.items():
            family = kind(name, text, labels=[])
            if sharing is not None:
                family.add_metric([], float(measure(sharing)))
            yield family


def _latency(node: NodeReport) -> Metric:
    family = HistogramMetricFamily(
        "st2sensor_publish_duration_seconds", "How long the broker took to confirm a round of triggers."
    )
    buckets, total = [], 0
    for bound, count in zip([*map(str, LATENCIES), "+Inf"], node.latencies, strict=True):
        total += count
        buckets.append((bound, float(total)))
    family.add_metric([], buckets, sum_value=node.latency_sum)
    return family


def _of_sensors(sensors: Sequence[SensorReport]) -> Iterable[Metric]:
    counts = Counter(report.state for report in sensors)
    states = GaugeMetricFamily("st2sensor_sensors", "Sensors by state.", labels=["state"])
    for name in STATES:
        states.add_metric([name], counts[name])
    yield states
    state = GaugeMetricFamily("st2sensor_sensor_state", "The state of a sensor.", labels=["sensor", "state"])
    polls = SummaryMetricFamily(
        "st2sensor_sensor_poll_duration_seconds", "How long a sensor's poll() took.", labels=["sensor"]
    )
    held = InfoMetricFamily("st2sensor_sensor_node", "The node that holds a sensor: this node.", labels=["sensor"])
    for report in sensors:
        state.add_metric([report.ref, report.state], 1)
        if report.node is not None and report.state != ELSEWHERE:
            held.add_metric([report.ref], {"node": report.node})
        if report.polls:
            polls.add_metric([report.ref], count_value=report.polls, sum_value=report.poll_seconds)
    yield state
    yield held
    yield polls
    for name, (text, value) in COUNTERS.items():
        counter = CounterMetricFamily(name, text, labels=["sensor"])
        for report in sensors:
            counter.add_metric([report.ref], value(report))
        yield counter
    for name, (text, measure) in GAUGES.items():
        gauge = GaugeMetricFamily(name, text, labels=["sensor"])
        for report in sensors:
            measured = measure(report)
            if measured is not None:
                gauge.add_metric([report.ref], float(measured))
        yield gauge
