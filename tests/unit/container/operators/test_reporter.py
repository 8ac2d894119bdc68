"""Reports on sensors and the container, from sources that a test sets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from st2sensor.container.desired.snapshot import Snapshot
from st2sensor.container.operators.pipeline import Pipeline
from st2sensor.container.operators.reporter import Reporter, Sources
from st2sensor.container.operators.usage import Usage
from st2sensor.container.supervision.child import Child, State
from st2sensor.container.supervision.past_runs import PastRuns
from st2sensor.dispatch.traffic import Traffic
from st2sensor.errors import OutboxError
from st2sensor.health import Health
from st2sensor.history.writer import NoHistory
from st2sensor.models import Refusal, Registration, SensorType, Silence, TriggerType
from st2sensor.outbox.entry import Entry
from st2sensor.reports import DISABLED, ELSEWHERE, REFUSED, WAITING, Check, Hang, SensorReport
from st2sensor.settings import Restarts

RESTARTS = Restarts()


class Unwritten(NoHistory):
    """A history that may have a problem."""

    reason = ""

    @property
    def problem(self) -> str:
        return self.reason


class Parts:
    """Everything that a report is made from."""

    def __init__(self) -> None:
        self.now = 10_000.0
        self.known: Snapshot | None = Snapshot()
        self.desired: dict[str, str] = {}
        self.states: dict[str, Child] = {}
        self.pids: dict[str, int] = {}
        self.hangs: dict[str, Hang] = {}
        self.silences: dict[str, Silence] = {}
        self.broker = self.database = Health(reason="")
        self.page: Health | None = None
        self.depth, self.size, self.has_room, self.problem = 0, 0, True, ""
        self.limited: dict[tuple[str, str], Any] = {}
        self.oldest_error: Exception | None = None
        self.traffic = Traffic()
        self.sampled: list[object] = []
        self.own = Usage(memory=1, cpu=2.0)
        settings: Any = self
        self.history = Unwritten()
        self.reporter = Reporter(
            settings,
            Sources(
                known=lambda: self.known,
                desired=lambda: self.desired,
                database=lambda: self.database,
                membership=lambda: None,
                page=lambda: self.page,
                children=cast(Any, self),
                hangs=cast(Any, self),
                silence_of=lambda ref: self.silences.get(ref),
                recorder=cast(Any, Recorder()),
                sampler=cast(Any, self),
            ),
            Pipeline(
                dispatcher=cast(Any, None),
                traffic=self.traffic,
                outbox=cast(Any, self),
                broker=lambda: self.broker,
                held_back=lambda: Health(reason=""),
                held_of=lambda: {"p.A": "3 wait"},
                unrouted_keys=lambda: ("trigger_instance",),
                audience=lambda: Health(reason="nobody reads pickle"),
                history=self.history,
            ),
            self.blocking,
            lambda: self.now,
        )

    # The settings.

    source = "st2.conf"

    @property
    def container(self) -> Any:
        return self

    @property
    def outbox(self) -> Any:
        return self

    restarts, node_name, max_size, max_bytes = RESTARTS, "n1", 10, 1000

    unrouted = 0

    # The children, hangs, the sampler and the outbox.

    def process_ids(self) -> set[int]:
        return set(self.pids.values())

    def process_id(self, ref: str) -> int | None:
        return self.pids.get(ref)

    def all(self) -> dict[str, Hang]:
        return self.hangs

    def of(self, key: Any) -> Any:
        if isinstance(key, str):
            return self.hangs.get(key)
        return Usage(memory=1_234_567, cpu=1.239) if key in self.pids.values() else None

    async def sample_all(self, pids: set[int]) -> None:
        self.sampled.append(pids)

    async def sample(self, pid: int) -> None:
        self.sampled.append(pid)

    def oldest(self) -> float:
        if self.oldest_error is not None:
            raise self.oldest_error
        return 5.0

    async def blocking(self, call: Callable[[], Any]) -> Any:
        return call()

    # For tests.

    def register(self, name: str, *, enabled: bool = True, error: str | None = None, is_new: bool = False) -> None:
        sensor = SensorType(
            pack="p", name=name, artifact_uri="file:///p/s.py", entry_point=f"sensors.s.{name}", enabled=enabled
        )
        digest = None if is_new else "1"
        registration = Registration(pack="p", name=name, metadata_file="s.yaml", digest=digest, error=error)
        known = self.known or Snapshot()
        self.known = replace(
            known,
            sensors=known.sensors if is_new else {**known.sensors, sensor.ref: sensor},
            registrations={**known.registrations, sensor.ref: registration},
        )

    def child(self, name: str, state: State, *, ago: float = 1.0, failures: int = 0) -> None:
        self.states[f"p.{name}"] = Child(
            ref=f"p.{name}",
            digest="d",
            state=state,
            since=self.now - ago,
            reason="so it is",
            failures=failures,
            due=self.now + 5 if state is State.BACKOFF else None,
        )

    def dispatch(self, name: str, at: float) -> None:
        entry = Entry(message_id="", sensor=f"p.{name}", trigger="p.t", trigger_type="p.t", created=at, body="{}")
        self.traffic.dispatched(entry)

    def sensor(self, name: str) -> SensorReport:
        report = asyncio.run(self.reporter.sensor(f"p.{name}"))
        assert report is not None
        return report

    def check(self, name: str) -> Check:
        return next(check for check in self.reporter.checks() if check.name == name)


class Recorder:
    def of(self, ref: str) -> PastRuns:  # noqa: ARG002
        return PastRuns()


def test_a_sensor_without_a_process_says_why() -> None:
    parts = Parts()
    parts.register("Off", enabled=False)
    parts.register("Due")
    parts.register("Elsewhere")
    parts.register("Bad", is_new=True, error="no such file")
    parts.desired = {"p.Due": "1"}
    found = {name: parts.sensor(name) for name in ("Off", "Due", "Elsewhere", "Bad")}
    assert {name: report.state for name, report in found.items()} == {
        "Off": DISABLED,
        "Due": WAITING,
        "Elsewhere": ELSEWHERE,
        "Bad": REFUSED,
    }
    assert "st2sensor enable p.Off" in found["Off"].reason
    assert found["Bad"].reason == found["Bad"].refused == "no such file"
    assert "partition_provider" in found["Elsewhere"].reason
    assert asyncio.run(parts.reporter.sensor("p.None")) is None


def test_a_sensor_with_a_process_says_how_it_is() -> None:
    parts = Parts()
    parts.register("A", error="a newer one is wrong")
    parts.child("A", State.RUNNING, ago=60.0)
    parts.pids["p.A"] = 77
    parts.hangs["p.A"] = Hang(what="poll()", since=1.0, heard=None)
    report = parts.sensor("A")
    assert (report.state, report.reason, report.refused) == ("running", "so it is", "a newer one is wrong")
    assert report.since is not None
    assert report.since == pytest.approx(time.time() - 60.0, abs=30.0)
    assert (report.pid, report.memory, report.cpu) == (77, 1_200_000, 1.24)
    assert (report.hang, report.held_back) == (parts.hangs["p.A"], "3 wait")
    assert (report.file, report.digest, report.next_start) == ("/p/s.py", "d", None)
    assert parts.sampled == [77]
    parts.child("A", State.BACKOFF)
    assert parts.sensor("A").next_start is not None


def test_a_sensor_fails_until_it_has_run_well_or_dispatches_again() -> None:
    parts = Parts()
    parts.register("A")
    parts.child("A", State.BACKOFF, failures=RESTARTS.failing_after - 1)
    assert not parts.sensor("A").failing
    parts.child("A", State.BACKOFF, failures=RESTARTS.failing_after)
    assert parts.sensor("A").failing
    parts.child("A", State.RUNNING, failures=RESTARTS.failing_after, ago=1.0)
    parts.dispatch("A", time.time() - 1000)
    assert parts.sensor("A").failing
    parts.dispatch("A", time.time() + 1000)
    assert not parts.sensor("A").failing
    # The container's check needs longer to count the sensor as healthy: until then the report says the same.
    assert not parts.check("sensors").ok
    assert [item.kind for item in parts.sensor("A").troubles] == ["recovering", "held back"][::-1]
    parts.child("A", State.RUNNING, failures=RESTARTS.failing_after, ago=RESTARTS.healthy_after)
    assert parts.check("sensors").ok
    assert [item.kind for item in parts.sensor("A").troubles] == ["held back"]


def test_trigger_types_that_are_not_registered_are_missing() -> None:
    parts = Parts()
    parts.register("S")
    known = parts.known
    assert known is not None
    sensor = replace(known.sensors["p.S"], trigger_types=("p.known", "p.refused", "p.gone"))
    parts.known = replace(
        known,
        sensors={"p.S": sensor},
        trigger_types={"p.known": TriggerType(pack="p", name="known")},
        refusals={"p.refused": Refusal(pack="p", name="refused", metadata_file="t.yaml", error="bad")},
    )
    assert parts.sensor("S").missing_types == ("p.gone",)
    assert [item.kind for item in parts.sensor("S").troubles] == ["missing", "refused type"]


def test_sensors_that_keep_failing_are_named_a_few_at_most() -> None:
    parts = Parts()
    parts.child("A", State.BACKOFF, failures=RESTARTS.failing_after)
    assert parts.check("sensors").reason == "p.A keeps failing; st2sensor show p.A says why"
    for name in "EDCB":
        parts.child(name, State.BACKOFF, failures=RESTARTS.failing_after)
    assert parts.check("sensors").reason == "p.A, p.B, p.C and 2 more keep failing; st2sensor show p.A says why"


def test_checks_say_what_is_wrong_and_what_that_means() -> None:
    parts = Parts()
    assert [check.name for check in parts.reporter.checks()] == [
        "broker",
        "database",
        "outbox",
        "routing keys",
        "sensors",
    ]
    assert all(check.ok and not check.reason for check in parts.reporter.checks())
    parts.depth, parts.has_room = 10, False
    parts.broker = Health(reason="it is away")
    parts.database = Health(reason="no majority")
    assert (
        parts.check("broker").reason
        == "it is away; 10 triggers are waiting in the outbox and will be sent when the broker is back"
    )
    parts.depth = 1
    assert parts.check("broker").reason.startswith("it is away; 1 trigger is waiting in the outbox")
    parts.depth = 0
    assert parts.check("broker").reason == "it is away"
    assert parts.check("database").reason == "no majority"
    assert "no room for more" in parts.check("outbox").reason
    parts.problem = "the disk is full"
    assert parts.check("outbox").reason == "the disk is full"
    parts.page = Health(reason="the port is in use")
    assert parts.check("status page").reason == "the port is in use"


def test_remarks_are_no_checks() -> None:
    parts = Parts()
    assert parts.reporter.notes() == ("nobody reads pickle",)
    parts.register("A")
    parts.hangs["p.A"] = Hang(what="poll()", since=1.0, heard=None)
    assert parts.reporter.notes() == ("p.A hangs; st2sensor show p.A says where", "nobody reads pickle")
    parts.unrouted = 3
    assert "no queue took 3 triggers (routing key trigger_instance)" in parts.reporter.notes()[-1]
    parts.history.reason = "cannot write the history"
    assert parts.reporter.notes()[-1] == "cannot write the history"
    assert asyncio.run(parts.reporter.node()).history == "cannot write the history"
    assert all(check.ok for check in parts.reporter.checks())


def test_a_list_is_sorted_and_comes_in_pages() -> None:
    parts = Parts()
    for name in "CAB":
        parts.register(name)
    parts.child("D", State.STOPPING)

    def page(after: str, most: int | None = None) -> list[str]:
        return [report.ref for report in asyncio.run(parts.reporter.sensors(after, most))]

    assert page("") == ["p.A", "p.B", "p.C", "p.D"]
    assert page("", 2) == ["p.A", "p.B"]
    assert page("p.B", 2) == ["p.C", "p.D"]
    assert page("p.D", 2) == []
    # Only the first page samples processes.
    assert len(parts.sampled) == 2


def test_a_node_is_reported_even_if_its_outbox_cannot_be_read(caplog: pytest.LogCaptureFixture) -> None:
    parts = Parts()
    parts.known = None
    parts.depth, parts.size = 3, 99
    report = asyncio.run(parts.reporter.node())
    assert (report.name, report.outbox_depth, report.outbox_bytes, report.outbox_oldest) == ("n1", 3, 99, 5.0)
    assert (report.memory, report.cpu, report.summary, report.sharing) == (1, 2.0, "no sensors", None)
    parts.oldest_error = OutboxError("the file is damaged")
    assert asyncio.run(parts.reporter.node()).outbox_oldest is None
    assert "the file is damaged" in caplog.text
