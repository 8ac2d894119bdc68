"""The container over HTTP: health, metrics, sensors, and the status page in a real browser."""

from __future__ import annotations

import http.client
import json
import re
import socket
import urllib.error
import urllib.request
from contextlib import closing
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from selenium.webdriver.common.keys import Keys

from st2sensor.models import SensorType
from st2sensor.status.feed import MESSAGE_LIMIT
from st2sensor.storage.sqlite import SqliteStorage
from tests.plugins.patience import LATER, SOON
from tests.support.browser import Browser
from tests.support.servers.ports import free_port
from tests.support.servers.waiting import eventually
from tests.support.status_schema import check
from tests.support.workspace import Container, Workspace

COUNTS = """
class Counts(PollingSensor):
    number = 0

    def poll(self):
        self.number += 1
        self.sensor_service.dispatch("p.counted", {"count": self.number if self.number % 3 else "no"})
"""

SCHEMA = {"type": "object", "properties": {"count": {"type": "integer"}}}

FAILS = "class Fails(Sensor):\n    def run(self):\n        raise RuntimeError('<b>always</b>')\n"

IDLE = "class Idle(Sensor):\n    def run(self):\n        import time\n        time.sleep(1000)\n"

MANY = 1000

HEADER_TOP = "return document.querySelector('thead th').getBoundingClientRect().top"


class Page:
    """The HTTP side of a container."""

    def __init__(self, workspace: Workspace, extra: str = "") -> None:
        self.port = free_port()
        workspace.configure(f"http = 127.0.0.1:{self.port}\n{extra}")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        request = urllib.request.Request(self.url + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=SOON) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def json(self, path: str) -> Any:
        return json.loads(self.get(path)[1])

    def metrics(self) -> dict[str, Metric]:
        status, text = self.get("/metrics")
        assert status == 200
        return {family.name: family for family in text_string_to_metric_families(text)}


def sample(family: Metric, **labels: str) -> float:
    (found,) = [item.value for item in family.samples if labels.items() <= item.labels.items()]
    return float(found)


def checks(page: Page) -> dict[str, Any]:
    return {check["name"]: check for check in page.json("/ready")["checks"]}


def started(workspace: Workspace) -> Container:
    workspace.add_sensor(
        "p", "Counts", COUNTS, poll_interval=0.1, trigger_types=[{"name": "counted", "payload_schema": SCHEMA}]
    )
    workspace.add_sensor("p", "Fails", FAILS)
    workspace.reload_well()
    container = workspace.start()
    container.wait_for_log("the status page is at")
    return container


def test_health_sensors_and_metrics_are_told(embedded: Workspace) -> None:
    page = Page(embedded, "restart_delay = 0.1\nrestart_delay_max = 0.1\nfailing_after = 2")
    container = started(embedded)
    assert page.get("/live") == (200, "alive\n")
    # At the very start nothing is known of broker and database, either.
    eventually("a crash loop", lambda: "keeps failing" in page.get("/ready")[1])
    assert page.get("/ready")[0] == 503
    healthy = dict.fromkeys(("broker", "database", "outbox", "routing keys", "status page"), True)
    expected = healthy | {"sensors": False}
    eventually("all is known", lambda: {name: check["ok"] for name, check in checks(page).items()} == expected)
    assert checks(page)["sensors"]["reason"] == "p.Fails keeps failing; st2sensor show p.Fails says why"

    def has_counted() -> bool:
        """Polls and dispatches are told apart, and what is published comes after both."""
        metrics = page.metrics()
        (published,) = [
            item.value for item in metrics["st2sensor_publish_duration_seconds"].samples if item.name.endswith("_count")
        ]
        counted = {
            sample(metrics["st2sensor_triggers_invalid"], sensor="p.Counts") >= 2,
            sample(metrics["st2sensor_triggers_dispatched"], sensor="p.Counts") >= 4,
            published > 0,
        }
        return page.json("/sensors/p.Counts")["polls"] > 6 and all(counted)

    eventually("it has counted", has_counted)
    reports = {report["ref"]: report for report in page.json("/sensors")["sensors"]}
    assert reports.keys() == {"p.Counts", "p.Fails"}
    assert page.get("/sensors/p.Nobody")[0] == 404
    # A few compressed bytes may stand for gigabytes, so no body is decompressed.
    bodied = urllib.request.Request(page.url + "/live", b"x", {"Content-Encoding": "br"})
    with pytest.raises(urllib.error.HTTPError, match="405"):
        urllib.request.urlopen(bodied, timeout=SOON)
    check("whole", page.json("/sensors"))
    check("sensor", page.json("/sensors/p.Fails"))
    check("ready", page.json("/ready"))

    metrics = page.metrics()
    assert sample(metrics["st2sensor_broker_up"]) == sample(metrics["st2sensor_database_up"]) == 1
    assert sample(metrics["st2sensor_sensor_state"], sensor="p.Counts") == 1
    assert sample(metrics["st2sensor_sensor_failing"], sensor="p.Fails") == 1
    assert sample(metrics["st2sensor_sensor_restarts"], sensor="p.Fails") >= 1
    polls = metrics["st2sensor_sensor_poll_duration_seconds"].samples
    assert {item.name: item.value for item in polls}["st2sensor_sensor_poll_duration_seconds_count"] > 6
    assert sample(metrics["st2sensor_triggers_invalid"], sensor="p.Counts") >= 2
    assert sample(metrics["st2sensor_triggers_dispatched"], sensor="p.Counts") >= 4
    buckets = [item for item in metrics["st2sensor_publish_duration_seconds"].samples if item.name.endswith("_bucket")]
    assert buckets[-1].labels == {"le": "+Inf"}
    assert buckets[-1].value > 0
    assert [item.value for item in buckets] == sorted(item.value for item in buckets)
    assert all(family.documentation for family in metrics.values())
    assert container.stop() == 0


def test_the_outbox_is_told_while_the_broker_is_away(embedded: Workspace) -> None:
    page = Page(embedded, f"failing_after = 100\n[messaging]\nurl = amqp://127.0.0.1:{free_port()}//\n")
    text = embedded.config.read_text().replace("url = local://\n", "", 1)
    embedded.config.write_text(text)
    container = started(embedded)
    eventually("triggers wait", lambda: sample(page.metrics()["st2sensor_outbox_depth"]) > 3)
    metrics = page.metrics()
    assert sample(metrics["st2sensor_broker_up"]) == 0
    assert sample(metrics["st2sensor_outbox_head_age_seconds"]) > 0
    said = "triggers are waiting in the outbox and will be sent when the broker is back"
    eventually("it is said", lambda: said in checks(page)["broker"]["reason"])
    assert container.stop() == 0


def test_a_token_is_asked_for_and_other_names_are_not_answered(embedded: Workspace) -> None:
    page = Page(embedded, "http_token = sesame\n")
    container = started(embedded)
    assert page.get("/live")[0] == 200
    assert page.json("/ready").keys() == {"ready"}, "the reasons are for who knows the token"
    for path in ("/", "/sensors", "/metrics", "/events"):
        assert page.get(path)[0] == 401, path
        assert page.get(path, Authorization="Bearer open")[0] == 401, path
    assert page.get("/sensors", Authorization="Bearer sesame")[0] == 200
    assert page.get("/sensors", Authorization="Bearer \xff")[0] == 401
    for path in ("/live?token=open", "/ready?token=open", "/?token=open", "/live?token=sesame"):
        assert "st2sensor=" not in cookies(page, path), path
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=SOON)
    connection.request("GET", "/?token=sesame")
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    answer.read()
    connection.request("GET", "/", headers={"Cookie": answer.headers["Set-Cookie"].partition(";")[0]})
    answer = connection.getresponse()
    assert answer.status == 200
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    connection.close()
    assert container.stop() == 0

    # Without a token: a name elsewhere may point here, and a page there must not read this.
    page = Page(embedded)
    container = embedded.start()
    container.wait_for_log("the status page is at")
    assert page.get("/sensors", Host="evil.example")[0] == 401
    assert page.get("/sensors", Host="a:b:c")[0] in (400, 401)
    assert page.get("/sensors", Host=f"localhost:{page.port}")[0] == 200
    assert container.stop() == 0


def cookies(page: Page, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=SOON)
    connection.request("GET", path)
    found = connection.getresponse().headers.get("Set-Cookie", "")
    connection.close()
    return found


def test_what_a_sensor_says_harms_no_page_and_tells_no_secret(embedded: Workspace) -> None:
    page = Page(embedded)
    code = """
    import logging

    class Odd(Sensor):
        def run(self):
            self.sensor_service.dispatch("odd.counted", {"count": self.config["token"]})
            logging.error("half a pair: \\ud800, %s", "x" * 100_000)
            raise RuntimeError("y" * 100_000)
    """
    embedded.add_sensor("odd", "Odd", code, trigger_types=[{"name": "counted", "payload_schema": SCHEMA}])
    (embedded.packs / "odd" / "config.schema.yaml").write_text("token: {type: string, secret: true}\n")
    (embedded.folder / "configs").mkdir()
    (embedded.folder / "configs" / "odd.yaml").write_text("token: hunter2hunter2\n")
    embedded.configure(f"http = 127.0.0.1:{page.port}\nrestart_delay = 100000\nrestart_delay_max = 100000\n")
    embedded.reload_well()
    container = embedded.start()
    container.wait_for_log("starts again in")
    container.wait_for_log("the status page is at")
    report = eventually(
        "it is invalid", lambda: found if (found := page.json("/sensors/odd.Odd"))["last_invalid"] else None
    )
    assert report is not None
    assert "not integer" in report["last_invalid"]["text"]
    assert len(report["reason"]) < 1000
    assert page.get("/sensors")[0] == 200
    for seen in (
        container.log,
        page.get("/sensors")[1],
        embedded.run("st2sensor", "--config-file", str(embedded.config), "show", "odd.Odd").stdout,
    ):
        assert "hunter2" not in seen
        assert "odd.Odd" in seen


def test_beyond_loopback_a_token_is_needed(embedded: Workspace) -> None:
    embedded.configure("http = 0.0.0.0:9105\n")
    done = embedded.run("st2sensorcontainer", "--config-file", str(embedded.config))
    assert done.returncode == 78
    assert "also set http_token" in done.stderr


def test_the_sensors_run_though_the_port_is_taken(embedded: Workspace) -> None:
    page = Page(embedded)
    with socket.create_server(("127.0.0.1", page.port)):
        embedded.add_sensor("p", "Fails", FAILS)
        embedded.reload_well()
        container = embedded.start()
        container.wait_for_log("[sensorcontainer] http:")
        container.wait_for_log("the sensor failed")
    container.wait_for_log("the status page is at")
    assert page.get("/live")[0] == 200


def test_the_page_shows_what_happens(embedded: Workspace, browser: Browser) -> None:
    page = Page(embedded, "restart_delay = 100000\nrestart_delay_max = 100000\n")
    container = started(embedded)
    browser.open(page.url)
    browser.wait_for("tr[data-ref='p.Counts']", "running")
    browser.wait_for("tr[data-ref='p.Fails']", "backoff")
    browser.wait_for("#events", "p.Counts: p.counted")
    browser.wait_for("#failures", "is a dead letter: the payload does not fit")
    eventually("a sparkline", lambda: browser.all("tr[data-ref='p.Counts'] svg path[d^=M]"), LATER)

    # What a sensor says is text, not markup.
    browser.click("tr[data-ref='p.Fails']")
    assert "RuntimeError: <b>always</b>" in browser.wait_for("#detail dl", "RuntimeError")
    browser.click("#detail form button")

    browser.click("#states button", "backoff")
    eventually("one row", lambda: len(browser.all("tbody tr")) == 1)
    browser.click("#states button", "backoff")
    eventually("two rows", lambda: len(browser.all("tbody tr")) == 2)
    (box,) = browser.all("#filter")
    box.send_keys("counts")
    eventually("one row", lambda: refs(browser) == ["p.Counts"])
    box.clear()
    box.send_keys(" ")
    assert container.stop() == 0
    browser.wait_for("#connection:not([hidden])", "The container does not answer")
    # Another one takes its place, and the page goes on.
    embedded.start().wait_for_log("the status page is at")
    eventually("it goes on", lambda: not browser.all("#connection:not([hidden])"))
    assert [item for item in browser.complaints() if "ERR_" not in item] == []


@pytest.mark.soak
def test_the_page_is_used_by_keyboard_search_and_filters(embedded: Workspace, browser: Browser) -> None:
    page = Page(embedded, "restart_delay = 100000\nrestart_delay_max = 100000\n")
    container = started(embedded)
    eventually(
        "dead letters and a failure", lambda: trouble_of(page) == {"p.Counts": "dead letters", "p.Fails": "failed"}
    )
    browser.open(page.url)

    # What happened before the page was opened is there, failures first.
    browser.wait_for("#failures", "p.Fails: RuntimeError: <b>always</b>")
    browser.wait_for("#failures", "p.Counts: p.counted is a dead letter")
    browser.wait_for("#events", "p.Fails: starting")
    (failures,), (others,) = browser.all("#failures"), browser.all("#events")
    assert failures.rect["y"] < others.rect["y"]

    # Sorting: a header is a button, and says how the table is sorted.
    assert refs(browser) == ["p.Fails", "p.Counts"], "failures come first"
    (button,) = browser.all("th[data-by='ref'] button")
    button.send_keys(Keys.ENTER)
    assert (refs(browser), sorted_by(browser)) == (["p.Counts", "p.Fails"], {"ref": "ascending"})
    button.send_keys(Keys.SPACE)
    assert (refs(browser), sorted_by(browser)) == (["p.Fails", "p.Counts"], {"ref": "descending"})
    assert browser.driver.switch_to.active_element == button

    # The search covers names, states and errors.
    (box,) = browser.all("#filter")
    for words, found in {"fails": ["p.Fails"], "running": ["p.Counts"], "n: 'no'": [], "always": ["p.Fails"]}.items():
        box.clear()
        box.send_keys(words)
        assert refs(browser) == found, words
    box.clear()
    box.send_keys(Keys.SPACE)
    browser.click("#states button", "in trouble")
    assert sorted(refs(browser)) == ["p.Counts", "p.Fails"]

    # Events by kind.
    (kind,) = browser.all("#kinds button[data-kind='failure']")
    kind.send_keys(Keys.ENTER)
    assert not browser.all("#failures li:not([hidden])")
    browser.click("#kinds button", "Triggers")
    assert "p.counted" not in browser.text("#events")
    assert "p.Fails: starting" in browser.text("#events")
    browser.click("#kinds button", "States")
    browser.wait_for("#quiet", "No event of these kinds.")

    # An event shows its life. The page may draw others while it is clicked.
    browser.click("#kinds button", "Failures")
    browser.click("#failures a", "p.counted is a dead letter")
    browser.wait_for("#detail .life", "became a dead letter: the payload does not fit")
    browser.wait_for("#detail pre", '"count": "no"')
    browser.click("#detail form button")
    eventually("closed", lambda: not browser.all("#detail[open]"))

    # A sensor, its log and its dead letters have addresses.
    (name,) = browser.all("tr[data-ref='p.Fails'] a")
    name.send_keys(Keys.ENTER)
    shown = browser.wait_for("#detail dl", "RuntimeError: <b>always</b>")
    assert shown.count("ended with exit code 1") == 1, "each thing is shown once"
    browser.click("#detail-links a", "Log")
    browser.wait_for("#detail .log", "RuntimeError: <b>always</b>")
    browser.click("#detail form button")
    eventually("closed", lambda: not browser.all("#detail[open]"))
    browser.click("#links a", "Dead letters")
    browser.wait_for("#detail .letters", "the payload does not fit")
    browser.driver.back()
    eventually("closed", lambda: not browser.all("#detail[open]"))
    assert browser.complaints() == []
    assert container.stop() == 0


def trouble_of(page: Page) -> dict[str, str]:
    reports = page.json("/sensors")["sensors"]
    return {report["ref"]: report["troubles"][0]["kind"] for report in reports if report["troubles"]}


def refs(browser: Browser) -> list[str]:
    """Return the sensors of the table, in their order."""
    script = "return [...document.querySelectorAll('#sensors tbody tr')].map(row => row.dataset.ref)"
    found: list[str] = browser.driver.execute_script(script)
    return found


def sorted_by(browser: Browser) -> dict[str, str]:
    script = "return [...document.querySelectorAll('th[aria-sort]')].map(head => [head.dataset.by, head.ariaSort])"
    return dict(browser.driver.execute_script(script))


@pytest.mark.soak
def test_on_a_phone_the_state_comes_first_and_the_header_stays(embedded: Workspace, browser: Browser) -> None:
    page = Page(embedded)
    add_many(embedded, enabled=0)
    container = embedded.start()
    container.wait_for_log("the status page is at")
    try:
        for width in (390, 1400):
            screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width == 390}
            browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
            browser.open(page.url)
            eventually("all sensors", lambda: len(refs(browser)) == MANY)
            state, name = browser.all("tbody tr:first-child .state, tbody tr:first-child .name")
            assert state.text == "disabled"
            assert state.rect["x"] + state.rect["width"] <= name.rect["x"]
            script = "scrollTo(0, arguments[0]); return [scrollY, document.documentElement.scrollWidth]"
            scrolled, wide = browser.driver.execute_script(script, 5000)
            assert scrolled > 1000
            assert wide <= width, "nothing is wider than the screen"
            eventually("the header is in sight", lambda: 0 <= browser.driver.execute_script(HEADER_TOP) < 200)
    finally:
        browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert container.stop() == 0


@pytest.mark.soak
def test_the_last_hour_is_drawn(embedded: Workspace, browser: Browser) -> None:
    page = Page(embedded, "failing_after = 100\n")
    container = started(embedded)
    browser.open(page.url)
    eventually("a rate", lambda: re.match(r"[1-9]\d* now, at most", browser.text("#triggers-chart output")), LATER)
    assert re.match(r"\d+ now", browser.text("#outbox-chart output"))
    for chart in ("#triggers-chart", "#outbox-chart"):
        (svg,) = browser.all(f"{chart} svg")
        assert (svg.get_attribute("aria-label") or "").startswith("Triggers ")
        (line,) = browser.all(f"{chart} svg path.line")
        assert (line.get_attribute("d") or "").count("L") >= 1, "two samples at least"
    assert browser.complaints() == []
    assert container.stop() == 0


@pytest.mark.soak(minutes=2)
@pytest.mark.parametrize("sensors", [200])
def test_the_stream_of_the_page_is_bounded(embedded: Workspace, sensors: int) -> None:
    page = Page(embedded, "changes_at_once = 100\n")
    code = COUNTS.replace('else "no"', "else 0")
    path = embedded.add_sensor("p", "Counts", code, poll_interval=1, trigger_types=[{"name": "counted"}])
    embedded.reload_well()
    with closing(SqliteStorage(embedded.state / "st2.db")) as storage:
        storage.prepare()
        for number in range(sensors - 1):
            storage.put(
                SensorType(
                    pack="p",
                    name=f"Counts{number}",
                    artifact_uri=f"file://{path}",
                    entry_point="sensors.counts.Counts",
                    poll_interval=1,
                    trigger_types=("p.counted",),
                )
            )
    container = embedded.start()
    container.wait_for_log("the status page is at")
    eventually("all dispatch", lambda: all(item["dispatched"] for item in page.json("/sensors")["sensors"]), LATER)
    changed: set[str] = set()
    sizes: list[int] = []
    with urllib.request.urlopen(f"{page.url}/events", timeout=SOON) as stream:
        while len(sizes) <= 10 or len(changed) < sensors:
            line = stream.readline()
            if not line.startswith(b"data: "):
                continue
            message = json.loads(line.removeprefix(b"data: "))
            check("changes" if sizes else "opening", message)
            if sizes:
                changed |= {item["ref"] for item in message["sensors"]}
            sizes.append(len(line))
    assert max(sizes[1:]) <= MESSAGE_LIMIT + len("data: \n")
    assert sizes[0] < 10_000 + 600 * sensors
    assert container.stop() == 0


def add_many(workspace: Workspace, *, enabled: int) -> None:
    """A thousand sensors. Registering them one by one is another test's business."""
    path = workspace.add_sensor("many", "Idle", IDLE)
    with closing(SqliteStorage(workspace.state / "st2.db")) as storage:
        storage.prepare()
        for number in range(MANY):
            storage.put(
                SensorType(
                    pack="many",
                    name=f"Idle{number}",
                    artifact_uri=f"file://{path}",
                    entry_point="sensors.idle.Idle",
                    enabled=number < enabled,
                )
            )


@pytest.mark.soak(minutes=2)
@pytest.mark.parametrize("running", [MANY])
def test_the_page_works_with_a_thousand_sensors(embedded: Workspace, browser: Browser, running: int) -> None:
    page = Page(embedded, "changes_at_once = 100\n")
    add_many(embedded, enabled=running)
    container = embedded.start()
    container.wait_for_log("the status page is at")
    browser.open(page.url)
    eventually("all run", lambda: f"{running} running" in browser.text("#states"), LATER)
    assert len(browser.all("tbody tr")) == MANY
    (box,) = browser.all("#filter")
    box.send_keys("idle77")
    # Idle77, and Idle770 to Idle779.
    eventually("some rows", lambda: len(browser.all("tbody tr")) == 11)
    assert embedded.run("st2sensor", "--config-file", str(embedded.config), "restart", "many.Idle77").returncode == 0
    browser.wait_for("#events", "many.Idle77: stopping: an operator is restarting it")
    browser.wait_for("tr[data-ref='many.Idle77']", "1")
    eventually("all run", lambda: sample(page.metrics()["st2sensor_sensors"], state="running") == running)
    assert browser.complaints() == []
    assert container.stop() == 0
