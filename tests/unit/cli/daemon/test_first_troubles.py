"""The warnings after a start: what a container and its sensors lack, once they have had the time to get it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from st2sensor import config
from st2sensor.cli.daemon import first_troubles as module
from st2sensor.cli.daemon.first_troubles import MOST_SENSORS, first_troubles
from st2sensor.reports import Check, Notice, SensorReport
from tests.support.control_peer import Answers, Peer, node, report

AWAY = Check(name="broker", ok=False, since=0.0, reason="it is away")
TAKEN = Check(name="status page", ok=False, since=0.0, reason="[sensorcontainer] http: another program uses this port")


def answers(*, sensors: Sequence[SensorReport] = (), checks: Sequence[Check] = ()) -> Answers:
    return {
        "settled": lambda: True,
        "node": lambda: node(checks=tuple(checks)),
        "sensors": lambda after="": [] if after else list(sensors),
    }


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ATTEMPT_TIMEOUT", 0.0)
    monkeypatch.setattr(module, "SETTLE_INTERVAL", 0.0)


def test_a_healthy_container_has_none(config_file: Path, peer: Callable[..., Peer]) -> None:
    fine = Check(name="broker", ok=True, since=0.0, reason="")
    peer(answers(sensors=[report()], checks=[fine]))
    assert first_troubles(config.load([str(config_file)])) == []


def test_checks_that_are_not_ok_and_sensors_in_trouble_are_told(config_file: Path, peer: Callable[..., Peer]) -> None:
    failed = report("core.WebhookSensor", state="backoff", reason="exit code 1 (another program uses this port)")
    peer(answers(sensors=[report(), failed], checks=[AWAY, TAKEN]))
    assert first_troubles(config.load([str(config_file)])) == [
        "broker: it is away",
        "[sensorcontainer] http: another program uses this port",
        "core.WebhookSensor: exit code 1 (another program uses this port)",
    ]


@pytest.mark.parametrize(("count", "last"), [(1, "1 more sensor is in trouble"), (7, "7 more sensors are in trouble")])
def test_only_a_few_sensors_are_named(config_file: Path, peer: Callable[..., Peer], count: int, last: str) -> None:
    failed = [report(f"p.S{number}", state="backoff", reason="bad") for number in range(MOST_SENSORS + count)]
    peer(answers(sensors=failed))
    *named, rest = first_troubles(config.load([str(config_file)]))
    assert len(named) == MOST_SENSORS
    assert rest == f"{last}; st2sensor list shows them"


def test_a_container_gets_the_time_to_reach_its_servers_and_to_start_its_sensors(
    config_file: Path, peer: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ATTEMPT_TIMEOUT", module.SETTLE_TIMEOUT)
    looks = itertools.count()
    settled = iter([False, True, True])
    checks = iter([[AWAY], [AWAY], []])
    starting = report("p.S", state="starting", last_error=Notice(at=0.0, text="old"))
    made = answers(sensors=[starting])

    def settle() -> bool:
        next(looks)
        return next(settled)

    peer({**made, "settled": settle, "node": lambda: node(checks=tuple(next(checks)))})
    assert first_troubles(config.load([str(config_file)])) == []
    assert next(looks) == 3


def test_a_wait_has_an_end(config_file: Path, peer: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SETTLE_TIMEOUT", 0.05)
    peer({**answers(checks=[AWAY]), "settled": lambda: False})
    assert first_troubles(config.load([str(config_file)])) == ["broker: it is away"]


def test_a_container_that_cannot_be_asked_has_none(config_file: Path, peer: Callable[..., Peer]) -> None:
    settings = config.load([str(config_file)])
    assert first_troubles(settings) == []
    # An older container does not know the request.
    peer({})
    assert first_troubles(settings) == []
