"""Reports survive the control socket: JSON that the container sends becomes the same values again."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from st2sensor.cli.inspection import reports
from st2sensor.cli.inspection.control_client import ControlClient
from st2sensor.cli.inspection.reports import node_of, parsed, sensor_of, sensors_of
from st2sensor.errors import RpcError
from st2sensor.reports import CONTROL_SOCKET, Check, Hang, NodeReport, Notice, Poll, SensorReport, SharingReport
from tests.support.control_peer import Peer, node, report

FINITE = st.floats(allow_nan=False, allow_infinity=False)
NOTICES = st.builds(Notice, at=FINITE)
SENSORS = st.builds(
    SensorReport,
    **dict.fromkeys(("node", "fence", "reason", "pid", "failing", "refused", "refused_types", "recent", "memory"), ...),
    trigger_types=...,
    since=st.none() | FINITE,
    next_start=st.none() | FINITE,
    triggered_at=st.none() | FINITE,
    cpu=st.none() | FINITE,
    poll_interval=st.none() | FINITE,
    poll_seconds=FINITE,
    hang=st.none() | st.builds(Hang, since=FINITE, heard=st.none() | FINITE),
    last_exit=st.none() | NOTICES,
    last_error=st.none() | NOTICES,
    last_invalid=st.none() | NOTICES,
    last_poll=st.none() | st.builds(Poll, at=FINITE, seconds=FINITE),
)
NODES = st.builds(
    NodeReport,
    started=FINITE,
    checks=st.lists(st.builds(Check, since=FINITE)).map(tuple),
    notes=...,
    outbox_oldest=st.none() | FINITE,
    latency_sum=FINITE,
    cpu=FINITE,
    sharing=st.none() | st.builds(SharingReport, nodes=st.dictionaries(st.text(), st.integers()), lease_left=FINITE),
)


def sent(value: Any) -> Any:
    """Return a report as the command receives it."""
    return json.loads(json.dumps(asdict(value)))


@given(SENSORS | NODES)
def test_every_report_survives_the_socket(value: SensorReport | NodeReport) -> None:
    assert parsed(type(value), sent(value)) == value


def test_keys_of_a_newer_container_are_ignored() -> None:
    assert parsed(SensorReport, {**sent(report()), "colour": "green"}) == report()


def test_an_older_container_may_lack_what_has_a_default() -> None:
    assert parsed(SensorReport, {"ref": "p.S", "state": "running"}) == report()


@pytest.mark.parametrize(
    "name", [field.name for field in fields(NodeReport) if field.name not in ("notes", "sharing", "push", "history")]
)
def test_a_missing_field_is_named_with_the_remedy(name: str) -> None:
    item = sent(node())
    del item[name]
    with pytest.raises(RpcError, match=f"NodeReport has no {name}; if .* st2ctl restart starts the installed one"):
        parsed(NodeReport, item)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"state": 5}, "SensorReport: state has the invalid value 5"),
        ({"pid": True}, "SensorReport: pid has the invalid value True"),
        ({"pid": 1.5}, "SensorReport: pid has the invalid value 1.5"),
        ({"since": "now"}, "SensorReport: since has the invalid value 'now'"),
        ({"recent": [1, None]}, "SensorReport: recent has the invalid value "),
        ({"trigger_types": "p.t"}, "SensorReport: trigger_types has the invalid value 'p.t'"),
        ({"last_exit": {"at": 1.0}}, "Notice has no text"),
        ({"last_exit": [1.0, "x"]}, "Notice is .*, not an object"),
        ({"hang": {"what": "poll()", "since": None, "heard": None}}, "Hang: since has the invalid value None"),
    ],
)
def test_a_value_of_another_type_is_named(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(RpcError, match=problem):
        parsed(SensorReport, {**sent(report()), **change})


def test_a_whole_number_is_a_time_like_any_other() -> None:
    found = parsed(SensorReport, {**sent(report()), "since": 5})
    assert found.since == 5.0
    assert type(found.since) is float


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4, 5])
def test_sensors_are_fetched_page_by_page(
    config_file: Path, peer: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(reports, "PAGE", 2)
    every = [report(f"p.S{index}") for index in range(number)]
    requests = []

    def page(after: str = "") -> list[SensorReport]:
        requests.append(after)
        return [item for item in every if item.ref > after][:2]

    peer({"sensors": page})
    with closing(ControlClient(config_file.parent / "state" / CONTROL_SOCKET)) as container:
        assert sensors_of(container) == every
    assert requests == ["", *[item.ref for item in every[1::2]]]


def test_a_container_is_asked_about_itself_and_one_sensor(config_file: Path, peer: Callable[..., Peer]) -> None:
    here = node()
    peer({"node": lambda: here, "sensor": lambda ref: report(ref) if ref == "p.S" else None})
    with closing(ControlClient(config_file.parent / "state" / CONTROL_SOCKET)) as container:
        assert node_of(container) == here
        assert sensor_of(container, "p.S") == report()
        assert sensor_of(container, "p.Other") is None
