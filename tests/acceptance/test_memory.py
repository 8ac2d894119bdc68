"""The memory of a busy container levels off."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.plugins.patience import SOON
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.rabbitmq import RabbitMQ
from tests.support.servers.waiting import eventually
from tests.support.workspace import Workspace

SENSORS = 20

BUSY = """
import os, random, time

class Busy(Sensor):
    def run(self):
        end = time.monotonic() + random.uniform(5, 60)
        n = 0
        while time.monotonic() < end:
            self.sensor_service.dispatch("{pack}.tick", {{"n": n, "text": "x" * 100}})
            n += 1
            if n % 20 == 0:
                self.sensor_service.set_value("cursor", str(n))
            time.sleep(0.005)
        os._exit(1)
"""

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "required": True}, "text": {"type": "string"}}}

GROWTH = 1.5e6
"""Bytes that the container may have more at the end than after a sixth of the time."""


@pytest.fixture
def busy(folder: Path, mongo_server: MongoDB) -> Iterator[Workspace]:
    """Sensors that dispatch, store, and fail; what they dispatch expires in the broker."""
    rabbitmq = RabbitMQ(folder)
    rabbitmq.start()
    rabbitmq.control("set_policy", "expire", ".*", '{"message-ttl": 1000}')
    (folder / "w").mkdir()
    workspace = Workspace(folder / "w", database=mongo_server.url, messaging=rabbitmq.url)
    for number in range(SENSORS):
        types = [{"name": "tick", "payload_schema": SCHEMA}]
        workspace.add_sensor(f"p{number}", "Busy", BUSY.format(pack=f"p{number}"), trigger_types=types)
    workspace.reload_well()
    yield workspace
    workspace.close()
    rabbitmq.stop()


@pytest.mark.parametrize(
    "minutes",
    [
        pytest.param(12, marks=pytest.mark.soak(minutes=16), id="12 minutes"),
        pytest.param(60, marks=pytest.mark.soak(minutes=63), id="an hour"),
    ],
)
def test_memory_levels_off(busy: Workspace, minutes: float) -> None:
    container = busy.start()
    eventually("all run", lambda: len(container.wrappers()) >= SENSORS // 2, SOON)
    process = psutil.Process(container.process.pid)
    began = time.monotonic()
    seen: list[int] = []
    # It is the time itself that is waited for.
    while time.monotonic() - began < minutes * 60:
        time.sleep(minutes * 60 / 60)
        seen.append(process.memory_info().rss)
    settled, end = max(seen[:10]), min(seen[-5:])
    assert end - settled < GROWTH, [round(size / 1e6, 1) for size in seen]
