"""StackStorm's helpers that packs import, under StackStorm's names, in an interpreter with nothing else."""

from __future__ import annotations

import importlib
import inspect
import json
import logging
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from st2sensor.portable import isotime
from st2sensor.portable.shell import TIMED_OUT, run_command, run_command_in_time
from st2sensor.wrapper import audit
from tests.plugins.patience import LATER, SOON
from tests.support.interpreters import interpreter
from tests.support.servers.process import alive
from tests.support.servers.waiting import eventually
from tests.support.workspace import ROOT, sample

COMPAT = ROOT / "st2sensor" / "compat"

NOON = datetime(2026, 1, 31, 12, 0, 0, 5000, tzinfo=UTC)
ELSEWHERE = timezone(timedelta(hours=5, minutes=30))


def in_a_pack(code: str, python: str = sys.executable) -> Any:
    """Return the JSON that code prints in an interpreter with only StackStorm's names and the standard library."""
    script = f"import sys; sys.path[:0] = [{str(COMPAT)!r}, {str(ROOT)!r}]\nimport json\n{code}"
    done = subprocess.run([python, "-I", "-S", "-c", script], capture_output=True, text=True, check=False)
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
        *([0, "hi\n", ""], "SensorService", True),
    ]


@pytest.mark.parametrize("version", ["{}.{}".format(*sys.version_info), "3.9"])
def test_pure_helpers_of_stackstorm_are_there(version: str) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"there is no Python {version}")
    code = """
from st2common.constants.action import LIVEACTION_STATUS_SUCCEEDED
from st2common.constants.keyvalue import DATASTORE_KEY_SEPARATOR, FULL_SYSTEM_SCOPE, SYSTEM_SCOPE
from st2common.constants.pack import DEFAULT_PACK_NAME, SYSTEM_PACK_NAMES
from st2common.util import ip_utils, jsonify, url
from st2common.util.green.shell import run_command
from st2common.util.shell import quote_unix, quote_windows
from st2reactor.sensor.base import BaseSensor, PollingSensor, Sensor

class Own:
    def __json__(self): return {"own": 1}

def port(text):
    try:
        return ip_utils.split_host_port(text)
    except ValueError as error:
        return str(error)

print(json.dumps([
    [LIVEACTION_STATUS_SUCCEEDED, DATASTORE_KEY_SEPARATOR, SYSTEM_SCOPE, FULL_SYSTEM_SCOPE, DEFAULT_PACK_NAME],
    "core" in SYSTEM_PACK_NAMES,
    [ip_utils.is_ipv4("10.0.0.1"), ip_utils.is_ipv6("::1"), ip_utils.is_ipv4("::1"), ip_utils.is_ipv6("x")],
    [port(text) for text in ("h:1", "h", "::1", "[::1]", "[::1]:2", "1.2.3.4:5", "h:x")],
    [jsonify.json_encode({"b": Own()}), jsonify.json_loads({"a": "[1]", "b": "x"}), jsonify.json_loads({}),
     jsonify.try_loads("{"), jsonify.try_loads("[2]"), jsonify.try_loads(3), jsonify.json_decode("4")],
    url.get_url_without_trailing_slash("http://x/"),
    [quote_unix("a b"), quote_windows("a b")],
    run_command(["echo", "hi"]),
    [issubclass(Sensor, BaseSensor), issubclass(PollingSensor, BaseSensor)],
]))
"""
    assert in_a_pack(code, python) == [
        ["succeeded", ":", "system", "st2kv.system", "default"],
        True,
        [True, True, False, False],
        [
            *(["h", 1], ["h", None], ["::1", None], ["::1", None], ["::1", 2], ["1.2.3.4", 5]),
            "the port 'x' is not a number; write the address like host:5672 or [::1]:5672",
        ],
        ['{"b": {"own": 1}}', {"a": [1], "b": "x"}, None, "{", [2], 3, 4],
        "http://x",
        ["'a b'", '"a b"'],
        [0, "hi\n", "", False],
        [True, True],
    ]


def test_secrets_can_be_decrypted_by_stackstorms_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(COMPAT))
    crypto = importlib.import_module("st2common.util.crypto")
    known = sample("encryption.json")
    file = tmp_path / "key.json"
    file.write_text(json.dumps(known["key_file"]))
    key = crypto.read_crypto_key(key_path=str(file))
    secret = crypto.symmetric_encrypt(encrypt_key=key, plaintext="hush")
    assert isinstance(secret, bytes)
    assert crypto.symmetric_decrypt(decrypt_key=key, ciphertext=secret) == "hush"
    for vector in known["vectors"]:
        assert crypto.symmetric_decrypt(key, vector["ciphertext"]) == vector["plaintext"]


def test_no_helper_is_loaded_before_it_is_used() -> None:
    code = """
import sys
from st2sensor.wrapper.loading import loader
loader.preload([])
print(json.dumps([name for name in sys.modules if name.startswith(("cryptography", "st2common", "subprocess"))]))
"""
    assert in_a_pack(code) == []


def test_what_is_not_there_says_what_to_do() -> None:
    code = """
from st2sensor.wrapper.loading import absent
absent.install()
found = []
for name in ("st2common.transport.utils", "st2common.services", "st2reactor.rules.engine", "st2client.client"):
    try:
        __import__(name)
    except ModuleNotFoundError as error:
        found.append(str(error))
print(json.dumps(found))
"""
    *ours, client = in_a_pack(code)
    assert [message.partition(": ")[0] for message in ours] == [
        "No module named 'st2common.transport'",
        "No module named 'st2common.services'",
        "No module named 'st2reactor.rules'",
    ]
    assert all(
        "use self.sensor_service to dispatch, log and store, or install StackStorm's own st2" in it for it in ours
    )
    assert client == "No module named 'st2client'"


def test_a_class_for_tests_of_actions_is_told_from_one_for_tests_of_sensors() -> None:
    code = """
import st2tests.base
found = [hasattr(st2tests.base, "__path__"), hasattr(st2tests.base, "BaseSensorTestCase")]
try:
    from st2tests.base import BaseActionTestCase
except ImportError as error:
    found.append(str(error))
print(json.dumps(found))
"""
    assert in_a_pack(code) == [
        *(False, True),
        "cannot import name 'BaseActionTestCase' from 'st2tests.base': only tests of sensors run here; run tests of "
        "actions where StackStorm's own st2tests is installed",
    ]


def test_loggers_have_an_audit_in_a_packs_own_tests() -> None:
    code = """
from st2sensor.testing import MemorySensorService
print(json.dumps(callable(MemorySensorService().get_logger("x").audit)))
"""
    assert in_a_pack(code) is True


def test_a_line_for_the_audit_is_logged_with_its_place(caplog: pytest.LogCaptureFixture) -> None:
    audit.install()
    audit.install()
    logger: Any = logging.getLogger("p.A.x")
    with caplog.at_level(logging.INFO):
        logger.audit("seen %s", "it", extra={"y": 1})
    (record,) = caplog.records
    assert (record.getMessage(), record.levelno, record.funcName) == (
        "seen it",
        logging.INFO,
        "test_a_line_for_the_audit_is_logged_with_its_place",
    )
    with caplog.at_level(logging.WARNING):
        logger.audit("unheard")
    assert len(caplog.records) == 1


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
        sensor.log.audit("heard")
        self.assertEqual(self.sensor_service.datastore_service.get_value("all", local=False), 1)
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
    with pytest.raises(ValueError, match="is not a time; write it as in"):
        isotime.parse(text)


def test_a_date_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="day is out of range"):
        isotime.parse("2026-02-31T12:00:00Z")


def test_a_command_gives_code_and_output() -> None:
    assert run_command("echo out; echo err >&2; exit 3", shell=True) == (3, "out\n", "err\n")
    assert run_command(["cat"], stdin=subprocess.DEVNULL, env={"PATH": "/bin:/usr/bin"}) == (0, "", "")
    assert run_command(("printf", r"a\r\n\303\251\377")) == (0, "a\r\né\ufffd", "")
    assert run_command(["sh", "-c", "echo $HOME; kill -9 $$"], env={}) == (-9, f"{os.environ['HOME']}\n", "")
    assert run_command(["echo", "hi"], stdout=subprocess.DEVNULL, cwd="/") == (0, "", "")
    with pytest.raises(FileNotFoundError):
        run_command(["no such command"])
    with pytest.raises(TypeError, match="not a dict"):
        run_command({})  # type: ignore[arg-type]


def test_the_arguments_are_stackstorms() -> None:
    names = ["cmd", "stdin", "stdout", "stderr", "shell", "cwd", "env"]
    assert list(inspect.signature(run_command).parameters) == names
    assert list(inspect.signature(run_command_in_time).parameters)[:8] == [*names, "timeout"]


def test_a_command_in_time_gives_a_fourth_value() -> None:
    assert run_command_in_time(["cat"], stdin_value="in", read_stdout_func=None) == (0, "in", "", False)
    with pytest.raises(FileNotFoundError):
        run_command_in_time(["no such command"])


def test_a_command_that_takes_too_long_is_killed_with_what_it_has_started() -> None:
    # On a slow machine, the command may not have begun when it is killed.
    for timeout in (0.5, SOON, LATER):
        done = run_command_in_time('sleep 100000 & echo "$$ $!"; wait', shell=True, timeout=timeout)
        if done.stdout:
            break
    assert (done.exit_code, done.stderr, done.timed_out) == (TIMED_OUT, "", True)
    pids = [int(word) for word in done.stdout.split()]
    assert len(pids) == 2
    eventually("both have ended", lambda: not any(alive(pid) for pid in pids))
