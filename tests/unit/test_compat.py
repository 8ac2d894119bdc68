"""StackStorm's helpers that packs import, under StackStorm's names, in an interpreter with nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from st2sensor import isotime
from st2sensor.command import TIMED_OUT, run_command
from tests.servers.process import alive
from tests.servers.waiting import eventually
from tests.support.patience import LATER, SOON
from tests.workspace import ROOT

COMPAT = ROOT / "st2sensor" / "compat"

NOON = datetime(2026, 1, 31, 12, 0, 0, 5000, tzinfo=UTC)
ELSEWHERE = timezone(timedelta(hours=5, minutes=30))


def in_a_pack(code: str) -> Any:
    """What code prints as JSON, where only StackStorm's names and the standard library are."""
    script = f"import sys; sys.path[:0] = [{str(COMPAT)!r}, {str(ROOT)!r}]\nimport json\n{code}"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_names_that_packs_import_are_there() -> None:
    code = """
from st2common.log import getLogger
from st2common.models.api.trace import TraceContext
from st2common.util import date, isotime
from st2common.util import isotime as times
import st2common.util.date as date_utils
from st2common.util.shell import run_command
from st2reactor.container.sensor_wrapper import SensorService
from st2reactor.sensor.base import PollingSensor, Sensor
context = TraceContext(id_="1", trace_tag="t")
now = date_utils.get_datetime_utc_now()
print(json.dumps([
    getLogger("x").name, vars(context), str(now.tzinfo), isotime.format(isotime.parse("2026-01-31T12:00:00Z")),
    run_command(["echo", "hi"]), SensorService.__name__, date.convert_to_utc(now) == now,
]))
"""
    assert in_a_pack(code) == [
        *("x", {"id_": "1", "trace_tag": "t"}, "UTC", "2026-01-31T12:00:00.000000+00:00"),
        *([0, "hi\n", "", False], "SensorService", True),
    ]


PACKS_TEST = """
import io
import os
import sys
import unittest
from st2common.models.api.trace import TraceContext
from st2reactor.sensor.base import PollingSensor
from st2tests.base import BaseSensorTestCase
from st2tests.mocks.sensor import MockSensorService, MockSensorWrapper

class Watches(PollingSensor):
    def setup(self):
        self.log = self.sensor_service.get_logger(__name__)
    def poll(self):
        self.log.info("polled")
        service = self.sensor_service
        seen = service.get_value("seen") or []
        service.set_value("seen", [*seen, len(seen)])
        service.set_value("all", 1, local=False)
        service.dispatch("p.one", {"count": len(seen)})
        service.dispatch(trigger="p.two", payload={"x": {1}}, trace_tag="t")
    def cleanup(self): pass
    def add_trigger(self, trigger): pass
    def update_trigger(self, trigger): pass
    def remove_trigger(self, trigger): pass

class WatchesTestCase(BaseSensorTestCase):
    sensor_cls = Watches

    def test_works(self):
        sensor = self.get_sensor_instance(config={"a": 1}, poll_interval=7)
        self.assertEqual((sensor.config, sensor.get_poll_interval()), ({"a": 1}, 7))
        sensor.setup()
        sensor.poll()
        sensor.poll()
        self.assertEqual(self.sensor_service.get_value("seen"), [0, 1])
        self.assertEqual([item.name for item in self.sensor_service.list_values()], ["tests.Watches:seen"])
        self.assertEqual([item.value for item in self.sensor_service.list_values(local=False, prefix="al")], [1])
        self.assertEqual([self.sensor_service.delete_value("seen") for _ in range(2)], [True, False])
        self.assertTriggerDispatched(trigger="p.one", payload={"count": 1})
        self.assertTriggerDispatched("p.two")
        with self.assertRaises(AssertionError):
            self.assertTriggerDispatched(trigger="p.one", payload={"count": 2})
        first, last = self.get_dispatched_triggers()[0], self.get_last_dispatched_trigger()
        self.assertEqual(first, {"trigger": "p.one", "payload": {"count": 0}, "trace_context": None})
        self.assertEqual((last["payload"], last["trace_context"].trace_tag), ({"x": {1}}, "t"))
        sensor.log.info.assert_called_with("polled")
        self.sensor_service.dispatched_triggers = []
        self.assertEqual(self.get_dispatched_triggers(), [])
        self.assertEqual(self.get_fixture_content("deep/a.txt"), "held")

if __name__ == "__main__":
    unittest.main()
"""


def test_a_packs_own_test_of_its_sensor_runs(tmp_path: Path) -> None:
    (tmp_path / "fixtures" / "deep").mkdir(parents=True)
    (tmp_path / "fixtures" / "deep" / "a.txt").write_text("held")
    (tmp_path / "test_watches.py").write_text(PACKS_TEST)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "test_watches.py"), "-v"],
        env={"PYTHONPATH": f"{COMPAT}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Ran 1 test" in done.stderr


@pytest.mark.parametrize(
    ("moment", "options", "text"),
    [
        (NOON, {}, "2026-01-31T12:00:00.005000+00:00"),
        (NOON, {"usec": False}, "2026-01-31T12:00:00+00:00"),
        (NOON, {"offset": False}, "2026-01-31T12:00:00.005000Z"),
        (NOON.replace(tzinfo=None), {}, "2026-01-31T12:00:00.005000+00:00"),
        (NOON.replace(tzinfo=None), {"offset": False}, "2026-01-31T12:00:00.005000Z"),
        (NOON.replace(tzinfo=ELSEWHERE), {}, "2026-01-31T12:00:00.005000+05:30"),
        (0, {"usec": False}, "1970-01-01T00:00:00+00:00"),
    ],
)
def test_a_time_becomes_text(moment: Any, options: dict[str, bool], text: str) -> None:
    assert isotime.format(moment, **options) == text


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31T12:00:00.005000Z", NOON),
        ("2026-01-31T12:00:00.005", NOON),
        ("2026-01-31 12:00:00.005 +00:00", NOON),
        ("2026-01-31T17:30:00.005000+05:30", NOON),
        ("2026-01-31T17:30:00.005000123+0530", NOON),
        ("2026-01-31T14:00:00.005+02", NOON),
        ("2026-01-31T12:00:00", NOON.replace(microsecond=0)),
    ],
)
def test_text_becomes_a_time_in_utc(text: str, moment: datetime) -> None:
    parsed = isotime.parse(text)
    assert (parsed, parsed.utcoffset()) == (moment, timedelta(0))
    assert isotime.validate(text)


def test_a_zone_is_kept_when_asked() -> None:
    parsed = isotime.parse("2026-01-31T17:30:00.005000+05:30", preserve_original_tz=True)
    assert (parsed, parsed.utcoffset()) == (NOON, timedelta(hours=5, minutes=30))


@pytest.mark.parametrize("text", ["", "2026-01-31", "yesterday", "2026-01-31T12:00:00X"])
def test_what_is_no_time_is_refused(text: str) -> None:
    assert not isotime.validate(text, raise_exception=False)
    with pytest.raises(ValueError, match="is no time; write it as in"):
        isotime.parse(text)


def test_a_date_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="day is out of range"):
        isotime.parse("2026-02-31T12:00:00Z")


def test_a_command_gives_code_and_output() -> None:
    assert run_command("echo out; echo err >&2; exit 3", shell=True) == (3, "out\n", "err\n", False)
    assert run_command(["cat"], stdin=subprocess.DEVNULL, env={"PATH": "/bin:/usr/bin"}) == (0, "", "", False)
    with pytest.raises(FileNotFoundError):
        run_command(["no such command"])


def test_a_command_that_takes_too_long_is_killed_with_what_it_has_started() -> None:
    # On a slow machine it may not have begun when it is killed.
    for timeout in (0.5, SOON, LATER):
        done = run_command('sleep 100000 & echo "$$ $!"; wait', shell=True, timeout=timeout)
        if done.stdout:
            break
    assert (done.exit_code, done.stderr, done.timed_out) == (TIMED_OUT, "", True)
    pids = [int(word) for word in done.stdout.split()]
    assert len(pids) == 2
    eventually("both have ended", lambda: not any(alive(pid) for pid in pids))
