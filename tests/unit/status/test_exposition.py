"""The metrics, and the files in conf/ that use them: Prometheus' alerts and Grafana's dashboard."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from st2sensor.container.operators.locations import STATES as NODE_STATES
from st2sensor.container.supervision.child import State
from st2sensor.dispatch.traffic import LATENCIES
from st2sensor.reports import Check, NodeReport, Notice, Poll, PushReport, SensorReport, SharingReport
from st2sensor.status.exposition import exposed
from tests.support.command_lines import accept
from tests.support.workspace import ROOT

CONF = ROOT / "conf"
ALERTS = yaml.safe_load((CONF / "prometheus-alerts.yaml").read_text())
RULES: list[dict[str, Any]] = [rule for group in ALERTS["groups"] for rule in group["rules"]]
SCRAPE = yaml.safe_load((CONF / "prometheus-scrape.yaml").read_text())
BOARD = json.loads((CONF / "grafana-dashboard.json").read_text())
PANELS: list[dict[str, Any]] = BOARD["panels"]

PROMETHEUS = {"up": {"job", "instance"}}
"""What Prometheus adds, and the labels of it."""

ADDED = {"job", "instance"}
"""Labels that Prometheus adds to every series."""

UNITS = ("_seconds", "_bytes", "_info")
COUNTED = (
    "st2sensor_broker_up",
    "st2sensor_database_up",
    "st2sensor_outbox_has_room",
    "st2sensor_outbox_depth",
    "st2sensor_outbox_capacity",
    "st2sensor_history_writable",
    "st2sensor_sensors",
    "st2sensor_sensor_state",
    "st2sensor_sensor_running",
    "st2sensor_sensor_failing",
    "st2sensor_sensor_refused",
    "st2sensor_sensor_silent",
    "st2sensor_sensor_polls_failed",
    "st2sensor_sensor_restarts",
    "st2sensor_triggers_dispatched",
    "st2sensor_triggers_invalid",
    "st2sensor_triggers_dead",
    "st2sensor_triggers_unrouted",
    "st2sensor_triggers_held",
    "st2sensor_triggers_duplicates",
    "st2sensor_triggers_sampled_out",
    "st2sensor_nodes",
    "st2sensor_leases_renewed",
    "st2sensor_lease_takeovers",
    "st2sensor_lease_moves",
    "st2sensor_lease_losses",
    "st2sensor_sensors_held",
    "st2sensor_sensors_unheld",
    "st2sensor_push_lag",
    "st2sensor_push_delivered",
    "st2sensor_push_failures",
    "st2sensor_push_gaps",
    "st2sensor_push_missed",
)
"""Numbers of things, and yes or no: they have no unit."""

VARIABLES = {"$__rate_interval": "5m", "$__range": "3h", "$instance": "a", "$sensor": "p.S"}
"""Grafana's, in queries, and what one may be."""


def page(*, is_shared: bool = True) -> str:
    """The metrics of a container with three sensors."""
    now = time.time()
    names = ("broker", "database", "outbox", "routing keys", "sensors", *(["leases"] if is_shared else []))
    node = NodeReport(
        name="n",
        version="1",
        pid=1,
        started=now,
        source="st2.conf",
        summary="2 running, 1 backoff",
        outbox_size=1000,
        checks=tuple(Check(name=name, ok=True, since=now, reason="") for name in names),
        outbox_depth=3,
        outbox_bytes=600,
        outbox_max_bytes=10**9,
        outbox_oldest=now - 5,
        latencies=tuple(range(len(LATENCIES) + 1)),
        latency_sum=4.0,
        memory=1,
        cpu=1.0,
        push=(
            PushReport(
                name="t",
                url="http://h",
                lag=3,
                lag_seconds=4.5,
                delivered=5,
                failures=1,
                gaps=1,
                missed=2,
                problem="",
                failing_since=None,
            ),
        ),
        sharing=None
        if not is_shared
        else SharingReport(
            nodes={"up": 2, "leaving": 0, "drained": 1, "dead": 0},
            drained=False,
            sensors=3,
            held=1,
            unheld=0,
            lease_left=5.5,
            takeovers=1,
            moves=2,
            losses=0,
        ),
    )
    polled = Poll(at=now, seconds=1.5, running=False)
    full = SensorReport(
        poll_interval=60.0,
        ref="p.Full",
        state="running",
        node="n" if is_shared else None,
        last_poll=polled,
        polls=3,
        poll_seconds=4.5,
        triggered_at=now,
        memory=1,
        cpu=1.0,
        last_error=Notice(at=now, text="RuntimeError"),
    )
    odd = SensorReport(ref='p."Odd\\', state="backoff", failing=True, refused="p.yaml:1")
    return exposed(node, [full, odd, SensorReport(ref="p.Fresh", state="running")]).decode()


FAMILIES: dict[str, Metric] = {family.name: family for family in text_string_to_metric_families(page())}
SAMPLES = {sample.name: sample for family in FAMILIES.values() for sample in family.samples}
LABELS = {name: set(sample.labels) | ADDED for name, sample in SAMPLES.items()} | PROMETHEUS


def queries() -> Iterator[str]:
    """Every expression in the dashboard, its variables replaced."""
    for panel in PANELS:
        yield from (target["expr"] for target in panel.get("targets", []))
    yield from (annotation["expr"] for annotation in BOARD["annotations"]["list"])


def replaced(query: str) -> str:
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    assert "$" not in query, query
    return query


EXPRESSIONS = [rule["expr"] for rule in RULES] + [replaced(query) for query in queries()]


def nodes(expression: str) -> list[Any]:
    """The parts of an expression in PromQL."""
    found: list[Any] = []
    promql_parser.walk(promql_parser.parse(expression), found.append)
    return found


def promtool(*arguments: str, text: str | None = None) -> None:
    done = subprocess.run(["promtool", *arguments], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


with_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool: it is in Debian's prometheus")


# The metrics.


def test_every_metric_has_a_good_name_and_help() -> None:
    for name, family in FAMILIES.items():
        assert re.fullmatch(r"st2sensor_[a-z0-9_]+|st2sensor", name)
        assert family.documentation.endswith("."), name
        assert family.type != "unknown", name
        # The parser strips the suffix of counters.
        bare = name.removesuffix("_total")
        assert bare.endswith(UNITS) or bare in (*COUNTED, "st2sensor"), name
        if family.type == "counter":
            assert all(sample.name == f"{bare}_total" for sample in family.samples)
        else:
            assert not name.endswith("_total"), name


def test_every_series_is_there_once_and_has_labels_that_are_its_own() -> None:
    seen = [(sample.name, *sorted(sample.labels.items())) for family in FAMILIES.values() for sample in family.samples]
    assert len(seen) == len(set(seen))
    for name, labels in LABELS.items():
        assert labels - ADDED <= {"sensor", "state", "le", "version", "node", "target"}, name
    assert not ADDED & set().union(*(sample.labels for sample in SAMPLES.values()))


def test_a_sensor_of_any_name_is_shown_as_it_is() -> None:
    (odd,) = [sample for sample in FAMILIES["st2sensor_sensor_failing"].samples if sample.value]
    assert odd.labels == {"sensor": 'p."Odd\\'}


def test_what_was_never_measured_is_left_out() -> None:
    memory = FAMILIES["st2sensor_sensor_memory_bytes"].samples
    assert [sample.labels["sensor"] for sample in memory] == ["p.Full"]


def test_a_container_that_shares_no_sensors_exposes_the_same_metrics() -> None:
    families = list(text_string_to_metric_families(page(is_shared=False)))
    assert {family.name for family in families} == FAMILIES.keys()
    empty = {family.name for family in families if not family.samples}
    assert {name for name in FAMILIES if "lease" in name} < empty
    assert {"st2sensor_nodes", "st2sensor_sensor_node_info", "st2sensor_sensors_unheld"} < empty


@with_promtool
def test_promtool_finds_nothing_in_the_metrics() -> None:
    promtool("check", "metrics", text=page())


# Expressions of both files.


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_asks_for_what_is_exposed(expression: str) -> None:
    selectors = [node for node in nodes(expression) if isinstance(node, promql_parser.VectorSelector)]
    assert selectors
    for selector in selectors:
        assert selector.name is not None
        assert selector.name in LABELS, f"{selector.name} is not exposed"
        asked = {matcher.name for matcher in selector.matchers.matchers}
        assert asked <= LABELS[selector.name], f"{selector.name} has no label {asked - LABELS[selector.name]}"
        states = [matcher.value for matcher in selector.matchers.matchers if matcher.name == "state"]
        known = NODE_STATES if selector.name == "st2sensor_nodes" else {state.value for state in State} | {"waiting"}
        assert set("|".join(states).split("|")) <= {*known, ""}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_takes_rates_of_counters_and_nothing_else(expression: str) -> None:
    for node in nodes(expression):
        if not isinstance(node, promql_parser.Call):
            continue
        for argument in node.args:
            if not isinstance(argument, promql_parser.MatrixSelector):
                continue
            name = str(argument.vector_selector.name)
            is_counter = name.endswith(("_total", "_count", "_sum", "_bucket"))
            assert is_counter == (node.func.name in ("rate", "increase")), f"{node.func.name}({name})"


def test_the_dashboard_or_the_alerts_use_every_metric() -> None:
    asked = " ".join([*EXPRESSIONS, *(item["query"]["query"] for item in queried())])
    unused = [name for name in FAMILIES if not re.search(rf"\b{name}(_\w+)?\b", asked)]
    assert not unused, "add a query to a panel of conf/grafana-dashboard.json or an alert to prometheus-alerts.yaml"


# Alerts.


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_and_what_to_do(rule: dict[str, Any]) -> None:
    assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"St2sensor[A-Za-z]+", rule["alert"])
    assert re.fullmatch(r"\d+[smh]", rule["for"])
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert set(rule["annotations"]) == {"summary", "description"}
    assert "`" in rule["annotations"]["description"], "no command"
    for text in rule["annotations"].values():
        named = set(re.findall(r"\$labels\.(\w+)", text))
        assert named <= labels_of(rule["expr"]), f"{rule['alert']} has no label {named}"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alerts_commands_are_commands(rule: dict[str, Any]) -> None:
    text = rule["annotations"]["description"].replace("{{ $labels.sensor }}", "p.S")
    for command in re.findall(r"`(st2(?:sensor|ctl) [^`]+)`", text):
        name, *arguments = shlex.split(command)
        accept(name, arguments)


def test_alerts_have_names_of_their_own() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(names) == len(set(names))
    assert all(group["name"].startswith("st2sensor.") for group in ALERTS["groups"])


@with_promtool
def test_promtool_takes_the_alerts_and_they_fire_as_they_should() -> None:
    promtool("check", "rules", str(CONF / "prometheus-alerts.yaml"))
    promtool("check", "config", "--syntax-only", str(CONF / "prometheus-scrape.yaml"))
    promtool("test", "rules", str(ROOT / "tests" / "samples" / "prometheus-alerts.test.yaml"))


def test_each_alert_fires_in_the_samples() -> None:
    text = (ROOT / "tests" / "samples" / "prometheus-alerts.test.yaml").read_text()
    assert set(re.findall(r'alertname="(\w+)"', text)) == {rule["alert"] for rule in RULES}


def labels_of(expression: str) -> set[str]:
    """Labels that the result may have."""
    root = promql_parser.parse(expression)
    while isinstance(root, promql_parser.BinaryExpr | promql_parser.ParenExpr):
        root = root.lhs if isinstance(root, promql_parser.BinaryExpr) else root.expr
    if isinstance(root, promql_parser.AggregateExpr):
        return set(root.modifier.labels if root.modifier else ())
    selectors = [node for node in nodes(expression) if isinstance(node, promql_parser.VectorSelector)]
    return set.intersection(*(LABELS[str(selector.name)] for selector in selectors))


# The scraping job.


def test_the_job_asks_for_the_metrics_by_token() -> None:
    (job,) = SCRAPE["scrape_configs"]
    assert job["metrics_path"] == "/metrics"
    assert job["authorization"]["type"] == "Bearer"
    assert all(f'job="{job["job_name"]}"' in rule["expr"] for rule in RULES if "up{" in rule["expr"])
    assert [(CONF / path).exists() for path in SCRAPE["rule_files"]] == [True]


# The dashboard.


def queried() -> list[dict[str, Any]]:
    return [item for item in BOARD["templating"]["list"] if item["type"] == "query"]


def test_the_dashboard_can_be_imported_whatever_the_data_source_is_called() -> None:
    assert BOARD["schemaVersion"] >= 36
    assert BOARD["uid"] == "st2sensor"
    assert [item["name"] for item in BOARD["templating"]["list"]] == ["datasource", "instance", "sensor"]
    sources = re.findall(r'"uid": "([^"]+)"', json.dumps({**BOARD, "uid": None}))
    assert set(sources) == {"${datasource}"}
    for item in queried():
        (metric, label) = re.fullmatch(r"label_values\((\w+)(?:\{.*\})?, (\w+)\)", item["query"]["query"]).groups()  # type: ignore[union-attr]
        assert label in LABELS[metric]


def test_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert place["x"] + place["w"] <= 24
        assert not taken & cells, panel["title"]
        taken |= cells


def test_every_panel_says_what_it_shows() -> None:
    for panel in PANELS:
        if panel["type"] == "row":
            continue
        assert panel["type"] in ("stat", "timeseries", "table"), panel["title"]
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(references) == len(set(references)), panel["title"]


def test_each_legend_and_column_is_a_label_or_a_value_that_the_query_has() -> None:
    for panel in PANELS:
        for target in panel.get("targets", []):
            named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert named <= labels_of(replaced(unwrapped(target["expr"]))), panel["title"]
    (table,) = [panel for panel in PANELS if panel["type"] == "table"]
    columns = next(step["options"] for step in table["transformations"] if step["id"] == "organize")
    values = {f"Value #{target['refId']}" for target in table["targets"]}
    given = values | {"instance", "sensor", "state", "node"}
    assert {*columns["indexByName"], *columns["excludeByName"]} == given | {"Time"}
    overridden = {override["matcher"]["options"] for override in table["fieldConfig"]["overrides"]}
    assert overridden <= set(columns["renameByName"].values())


def unwrapped(query: str) -> str:
    """topk keeps the labels of what it chooses from."""
    return query.removeprefix("topk(10, ").removesuffix(")") if query.startswith("topk(") else query
