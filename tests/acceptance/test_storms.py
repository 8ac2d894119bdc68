"""Operators' limits keep storms away from consumers, and kills of the container do not let them through."""

from __future__ import annotations

import json
import os
import time
from urllib.request import urlopen

import pytest

from st2sensor.dispatch.limiting import message_id_of
from st2sensor.portable.event_key import key_of
from tests.plugins.patience import AT_LAST, FACTOR, LATER, SOON
from tests.support.browser import Browser
from tests.support.servers.ports import free_port
from tests.support.servers.waiting import eventually, grown
from tests.support.status_schema import check
from tests.support.workspace import Container, Workspace

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

STORM = """
import os
import time

FOLDER = {folder!r}
EVENTS, CHUNK, BACK = {events}, {chunk}, {back}


def read(name):
    with open(os.path.join(FOLDER, name)) as file:
        return int(file.read() or 0)


class Repeats(Sensor):
    def run(self):
        # Its cursor is always too old, so that each life begins with repeats.
        position = max(0, read("position") - BACK)
        while position < EVENTS:
            while position >= read("until"):
                time.sleep(0.01)
            events = range(position, min(position + CHUNK, EVENTS))
            self.sensor_service.dispatch_many([("storm.alert", {{"id": n // 10, "n": n}}) for n in events])
            position += len(events)
            with open(os.path.join(FOLDER, "new"), "w") as file:
                file.write(str(position))
            os.rename(os.path.join(FOLDER, "new"), os.path.join(FOLDER, "position"))
        self.sensor_service.dispatch("storm.end", {{}})
        time.sleep(1000)
"""

CHUNK, BACK, AHEAD = 100, 300, 500
"""Events of one call, events that are dispatched again after a start, and how far the sensor goes on after a kill is
due, so that it is at work when it is killed."""

EVENTS, KILLS, TAKEOVERS = (
    int(os.environ.get(f"STORM_{name}", default))
    for name, default in (("EVENTS", 20_000), ("KILLS", 20), ("TAKEOVERS", 2))
)

WINDOW = 36_500
"""Days. No window ends during the test, but for the few keys whose window begins then."""

LEASE = min(3.0 * FACTOR, 10.0)

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


class Pair:
    """Two containers that share the sensor of a storm, one of which holds it."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._containers = {name: self._start(name) for name in ("one", "two")}

    def _start(self, name: str) -> Container:
        self._workspace.configure(
            f"resync_interval = 0.5\nsensor_node_name = {name}\npartition_provider = name:shared\nlease = {LEASE:g}\n"
        )
        text = self._workspace.config.read_text().replace("state_dir = state", f"state_dir = {name}")
        path = self._workspace.folder / f"{name}.conf"
        path.write_text(text.replace("connection = sqlite://\n", "connection = sqlite:///state/st2.db\n"))
        return self._workspace.start("--config-file", str(path))

    def holder(self) -> str:
        """Wait until the sensor runs, and return where."""

        def found() -> str:
            alive = {name: item for name, item in self._containers.items() if item.process.poll() is None}
            return next((name for name, item in alive.items() if item.wrappers()), "")

        return eventually("the sensor runs", found, LATER)

    def kill(self) -> None:
        """Kill the holder, and start it again at once: it takes the sensor back."""
        name = self.holder()
        self._kill(name)
        self._containers[name] = self._start(name)

    def take_over(self) -> None:
        """Kill the holder, and start it again once the other container runs the sensor."""
        name = self.holder()
        self._kill(name)
        assert self.holder() != name
        self._containers[name] = self._start(name)

    def _kill(self, name: str) -> None:
        self._containers[name].process.kill()
        self._containers[name].process.wait(SOON)


@pytest.mark.soak(minutes=6)
def test_kills_and_takeovers_in_a_storm_of_repeats_neither_lose_nor_add_a_message_id(workspace: Workspace) -> None:
    limit(workspace, {"dedupe": {"key": ["payload.id"], "window": f"{WINDOW}d"}})
    code = STORM.format(folder=str(workspace.folder), events=EVENTS, chunk=CHUNK, back=BACK)
    workspace.add_sensor("storm", "Repeats", code, trigger_types=TYPES)
    position, until = workspace.folder / "position", workspace.folder / "until"
    position.write_text("0")
    until.write_text("0")
    workspace.reload_well()
    listener = workspace.listen()
    began = time.time()
    pair = Pair(workspace)
    steps = KILLS + TAKEOVERS
    for step in range(1, steps + 1):
        due = EVENTS * step // (steps + 1)
        (workspace.folder / "later").write_text(str(due + AHEAD))
        (workspace.folder / "later").rename(until)
        grown("events", lambda: int(position.read_text()), due, AT_LAST)
        if step * TAKEOVERS // steps > (step - 1) * TAKEOVERS // steps:
            pair.take_over()
        else:
            pair.kill()
    until.write_text(str(EVENTS))
    listener.wait_for("storm.end", timeout=AT_LAST + EVENTS / 100)
    keys = [key_of(["payload.id"], {"id": number}) for number in range(EVENTS // 10)]
    first, last = (
        [message_id_of("storm.Repeats", "storm.alert", key, WINDOW * 86_400.0, at) for key in keys]
        for at in (began, time.time())
    )
    expected = set(first)

    def seen() -> list[str | None]:
        return [item.message_id for item in listener.of("storm.alert")]

    grown("message_ids", lambda: len(expected & set(seen())), len(expected))
    counted = f"{len(seen())} messages with {len(set(seen()))} message_ids"
    print(f"{EVENTS} events, {KILLS} kills, {TAKEOVERS} takeovers, {time.time() - began:.0f} s: {counted}")
    assert first == last
    assert set(seen()) == expected
