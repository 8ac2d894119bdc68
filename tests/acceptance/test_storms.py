"""Operators' limits keep storms away from consumers, and kills of the container do not let them through."""

from __future__ import annotations

import json
import time
from urllib.request import urlopen

import pytest

from tests.plugins.patience import SOON
from tests.support.browser import Browser
from tests.support.servers.ports import free_port
from tests.support.servers.waiting import grown
from tests.support.status_schema import check
from tests.support.workspace import Workspace

ALERTS = """
import time


class Alerts(Sensor):
    def run(self):
        self.sensor_service.dispatch_many([("storm.alert", {"n": n}) for n in range(400)])
        self.sensor_service.dispatch("storm.end", {})
        time.sleep(1000)
"""

REPEATS = """
import time


class Repeats(Sensor):
    def run(self):
        # Begins again with every start, as a sensor does that has lost its cursor.
        for n in range(%d):
            self.sensor_service.dispatch("storm.alert", {"id": n // 10, "n": n})
        self.sensor_service.dispatch("storm.end", {})
        time.sleep(1000)
"""

TYPES = [{"name": "alert", "payload_schema": {}}, {"name": "end", "payload_schema": {}}]


def limit(workspace: Workspace, limits: dict[str, object]) -> None:
    (workspace.folder / "overrides").mkdir()
    text = json.dumps({"st2sensor": {"defaults": {"limits": {"triggers": {"storm.alert": limits}}}}})
    (workspace.folder / "overrides" / "storm.yaml").write_text(text)


def test_alerts_of_one_second_leave_at_the_rate_and_in_order(embedded: Workspace) -> None:
    limit(embedded, {"rate": "100/s", "burst": 50})
    embedded.add_sensor("storm", "Alerts", ALERTS, trigger_types=TYPES)
    embedded.reload_well()
    listener = embedded.listen()
    embedded.start()
    listener.wait_for("storm.end")
    began = time.monotonic()
    alerts = listener.wait_for("storm.alert", 400)
    assert [alert.payload["n"] for alert in alerts] == list(range(400))
    # 350 at 100 a second; what left before the first look is not counted.
    assert time.monotonic() - began > 2.0


@pytest.mark.soak
def test_the_status_page_counts_held_alerts(embedded: Workspace, browser: Browser) -> None:
    port = free_port()
    embedded.configure(f"http = 127.0.0.1:{port}")
    limit(embedded, {"rate": "1/h", "burst": 50, "over": "hold"})
    embedded.add_sensor("storm", "Alerts", ALERTS, trigger_types=TYPES)
    embedded.reload_well()
    embedded.start().wait_for_log("the status page is at")
    browser.open(f"http://127.0.0.1:{port}")
    browser.wait_for("tr[data-ref='storm.Alerts'] td.rate", "350 held")
    browser.click("tr[data-ref='storm.Alerts']")
    browser.wait_for("#detail dl", "350 triggers are held by its limits")
    assert "storm.alert: " in browser.text("#detail dl")
    with urlopen(f"http://127.0.0.1:{port}/sensors", timeout=SOON) as answer:
        document = json.load(answer)
    check("whole", document)
    assert [item["held"] for item in document["sensors"]] == [350]


def test_held_alerts_leave_when_an_operator_releases_them(embedded: Workspace) -> None:
    limit(embedded, {"rate": "1/h", "burst": 50, "over": "hold"})
    embedded.add_sensor("storm", "Alerts", ALERTS, trigger_types=TYPES)
    embedded.reload_well()
    listener = embedded.listen()
    container = embedded.start()
    listener.wait_for("storm.end")
    listener.wait_for("storm.alert", 50)
    assert container.stop() == 0
    embedded.start()
    listener.wait_for("storm.end", 2)
    assert len(listener.of("storm.alert")) == 50
    released = embedded.run(
        "st2sensor", "--config-file", str(embedded.config), "events", "release", "--sensor", "storm.Alerts", "--json"
    )
    assert json.loads(released.stdout) == {"released": 750}, released.stderr
    listener.wait_for("storm.alert", 800)


@pytest.mark.parametrize(("count", "kills"), [(600, 2)])
def test_each_event_of_a_storm_of_repeats_is_sent_once_whatever_is_killed(
    embedded: Workspace, count: int, kills: int
) -> None:
    limit(embedded, {"dedupe": {"key": ["payload.id"], "window": "30d"}})
    embedded.add_sensor("storm", "Repeats", REPEATS % count, trigger_types=TYPES)
    embedded.reload_well()
    listener = embedded.listen()
    for kill in range(1, kills + 1):
        container = embedded.start()
        wanted = min(count // 10, kill * count // 10 // (kills + 1))
        grown("some events", lambda: len(listener.of("storm.alert")), wanted)
        container.process.kill()
        container.process.wait(SOON)
    embedded.start()
    listener.wait_for("storm.end")
    by_id: dict[int, set[int]] = {}
    for alert in listener.of("storm.alert"):
        by_id.setdefault(alert.payload["id"], set()).add(alert.payload["n"])
    # A message may be sent again after a kill, but it is the same one: the first of its key.
    assert by_id == {number: {number * 10} for number in range(count // 10)}
