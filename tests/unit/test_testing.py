"""The helpers for the tests of packs, as packs use them: in their own interpreter, and under pytest."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from st2sensor.errors import RpcError
from st2sensor.models import Trigger
from st2sensor.portable.trace import TraceContext
from st2sensor.sensor import Sensor
from st2sensor.testing import (
    BaseSensorTestCase,
    Dispatched,
    MemorySensorService,
    add_trigger,
    remove_trigger,
    run_polls,
    running,
    update_trigger,
    use_pack,
)
from st2sensor.testing.memory import MemoryConnection, MemoryContainer
from st2sensor.testing.mocks import MockSensorService, MockSensorWrapper
from tests.plugins.patience import AT_LAST, SOON
from tests.support.interpreters import interpreter
from tests.support.workspace import ROOT

DOCUMENT = (ROOT / "docs" / "testing.md").read_text()


class Recorder(Sensor):
    """Records the calls of its methods."""

    def __init__(self, sensor_service: Any, config: dict[str, Any] | None = None) -> None:
        super().__init__(sensor_service, config)
        self.called: list[Any] = []
        self.stopped = threading.Event()

    def setup(self) -> None:
        self.called.append("setup")

    def run(self) -> None:
        self.called.append("run")
        if "fails" in self.config:
            raise RuntimeError(self.config["fails"])
        self.stopped.wait(AT_LAST)

    def poll(self) -> None:
        self.called.append("poll")
        if "fails" in self.config:
            raise RuntimeError(self.config["fails"])

    def cleanup(self) -> None:
        self.called.append("cleanup")
        if "stays" not in self.config:
            self.stopped.set()

    def add_trigger(self, trigger: dict[str, Any]) -> None:
        self.called.append(("add", trigger))

    def update_trigger(self, trigger: dict[str, Any]) -> None:
        self.called.append(("update", trigger))

    def remove_trigger(self, trigger: dict[str, Any]) -> None:
        self.called.append(("remove", trigger))


class Case(BaseSensorTestCase):
    sensor_cls = Recorder

    def runTest(self) -> None:
        """Never run: the tests call other methods."""


@pytest.fixture
def case() -> Case:
    case = Case()
    case.setUp()
    return case


def files(folder: Path, text: str) -> Path:
    """Write the files that a document shows. The first line of each is its path."""
    for path, body in re.findall(r"```python\n# (\S+)\n(.*?)```", text, re.DOTALL):
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(body)
    return folder


def run(folder: Path, python: str, *arguments: str, paths: tuple[Path, ...] = ()) -> str:
    """Run an interpreter in a pack's folder, with only its own packages and st2sensor."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(map(str, [ROOT, *paths])),
        "PYTHONWARNINGS": "error",
    }
    done = subprocess.run(
        [python, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


# Under pytest, and in other interpreters.


def test_the_document_shows_files_that_pass_where_the_plugin_is_installed(tmp_path: Path) -> None:
    """Pytest finds the plugin that setup.py declares."""
    pytest.importorskip("setuptools")
    subprocess.run(
        [sys.executable, "-W", "ignore", "setup.py", "-q", "egg_info", "--egg-base", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    pack = files(tmp_path / "packs" / "desk", DOCUMENT)
    assert "7 passed" in run(pack, sys.executable, "-m", "pytest", "tests", paths=(tmp_path,))


def test_the_document_shows_a_case_that_passes_with_unittest_on_the_oldest_python(tmp_path: Path) -> None:
    python = interpreter("3.9")
    if python is None:
        pytest.skip("there is no CPython 3.9 here: pyenv install 3.9, or put a python3.9 on PATH")
    pack = files(tmp_path / "desk", DOCUMENT)
    shown = run(pack, python, "-m", "unittest", "discover", "-s", "tests", "-p", "test_with_unittest.py")
    assert "Ran 2 tests" in shown
    assert "OK" in shown


def test_nothing_that_it_imports_is_of_a_third_party() -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); import st2sensor.testing; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code, str(ROOT)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    roots = {name.partition(".")[0] for name in done.stdout.split()}
    assert roots - set(sys.stdlib_module_names) <= {"st2sensor", "__main__"}


# The test case.


def test_a_case_has_the_methods_of_stackstorms_on_the_real_service(case: Case) -> None:
    sensor = case.get_sensor_instance(config={"a": 1})
    assert sensor.config == {"a": 1}
    service = sensor.sensor_service
    service.dispatch("p.t", {"n": (1, 2)}, trace_tag="t")
    service.dispatch_with_context("p.u", {"at": "now"}, TraceContext(id_="i"))
    first, second = case.get_dispatched_triggers()
    assert (first["trigger"], first["payload"], first["trace_context"].trace_tag) == ("p.t", {"n": [1, 2]}, "t")
    assert (second["payload"], second["trace_context"].id_) == ({"at": "now"}, "i")
    assert case.get_last_dispatched_trigger()["trigger"] == "p.u"
    service.set_value("k", 1)
    assert service.get_value("k").name == "tests.Recorder:k"


def test_a_case_asserts_what_was_dispatched(case: Case) -> None:
    payload: dict[Any, Any] = {"n": (1, 2), 3: {4}}
    case.sensor_service.dispatch("p.t", payload, trace_tag="t")
    assert case.assertTriggerDispatched("p.t")
    assert case.assertTriggerDispatched(trigger="p.t", payload=payload)
    assert case.assertTriggerDispatched(trigger="p.t", payload={"n": [1, 2], "3": mock.ANY})
    assert case.assertTriggerDispatched("p.t", trace_context=TraceContext(trace_tag="t"))
    assert case.assertTriggerDispatched("p.t", trace_context={"trace_tag": "t"})
    others: list[dict[str, Any]] = [
        {"trigger": "p.u"},
        {"trigger": "p.t", "payload": {"n": [1]}},
        {"trigger": "p.t", "trace_context": TraceContext(trace_tag="u")},
    ]
    for arguments in others:
        with pytest.raises(AssertionError, match="was not among what was dispatched"):
            case.assertTriggerDispatched(**arguments)


# A sensor's life, and its triggers.


@pytest.fixture
def service() -> MemorySensorService:
    return MemorySensorService()


def test_polls_are_led_from_setup_to_cleanup(service: MemorySensorService) -> None:
    sensor = Recorder(service)
    run_polls(sensor, 2)
    assert sensor.called == ["setup", "poll", "poll", "cleanup"]
    failing = Recorder(service, {"fails": "no luck"})
    with pytest.raises(RuntimeError, match="no luck"):
        run_polls(failing, 2)
    assert failing.called == ["setup", "poll", "cleanup"]


def test_a_passive_sensor_runs_until_it_is_cleaned_up(service: MemorySensorService) -> None:
    sensor = Recorder(service)
    with running(sensor, timeout=SOON):
        pass
    assert sensor.called == ["setup", "run", "cleanup"] or sensor.called == ["setup", "cleanup", "run"]
    fails = Recorder(service, {"fails": "no luck"})
    with pytest.raises(RuntimeError, match="no luck"), running(fails, timeout=SOON):
        pass
    stays = Recorder(service, {"stays": True})
    reason = r"run\(\) has not returned 0.01 seconds after cleanup"
    with pytest.raises(AssertionError, match=reason), running(stays, timeout=0.01):
        pass
    stays.stopped.set()


def test_what_a_test_raises_is_not_hidden_by_the_sensor(service: MemorySensorService) -> None:
    sensor = Recorder(service, {"stays": True})
    with pytest.raises(ZeroDivisionError), running(sensor, timeout=0.01):
        raise ZeroDivisionError
    sensor.stopped.set()


def test_a_test_waits_for_what_threads_dispatch(service: MemorySensorService) -> None:
    def dispatch() -> None:
        for n in range(3):
            service.dispatch("p.t", {"n": n})

    thread = threading.Thread(target=dispatch)
    thread.start()
    assert service.wait_for(3, timeout=SOON) == [Dispatched("p.t", {"n": n}) for n in range(3)]
    thread.join()
    with pytest.raises(AssertionError, match=r"3 triggers, not 4, were dispatched in 0\.01 seconds"):
        service.wait_for(4, timeout=0.01)


def test_a_trigger_has_the_keys_that_a_container_gives(service: MemorySensorService) -> None:
    sensor = Recorder(service)
    parameters = {"path": "/x", "sensor": [1]}
    trigger = add_trigger(sensor, "p.dotted.name", **parameters)
    changed = update_trigger(sensor, trigger, path="/y")
    remove_trigger(sensor, changed)
    assert sensor.called == [("add", trigger), ("update", changed), ("remove", changed)]
    assert set(trigger) == {"id", "uid", "ref", "name", "pack", "type", "parameters"}
    assert (trigger["pack"], trigger["type"], trigger["parameters"]) == ("p", "p.dotted.name", parameters)
    assert trigger["ref"] == f"p.{trigger['name']}"
    assert [changed[key] == trigger[key] for key in ("id", "ref", "uid")] == [True, True, False]
    plain = add_trigger(sensor, "p.t")
    assert (plain["ref"], plain["parameters"]) == ("p.t", {})


def test_a_triggers_uid_is_the_containers(service: MemorySensorService) -> None:
    trigger = add_trigger(Recorder(service), "p.t", b=1, a="é")
    known = Trigger(pack="p", name=trigger["name"], type="p.t", parameters={"a": "é", "b": 1})
    assert trigger["uid"] == known.uid


# The rest.


def test_lines_of_the_sensor_are_in_the_log(service: MemorySensorService, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        service.get_logger("Mine").info("hello %s", "there")
    assert [(record.name, record.getMessage()) for record in caplog.records] == [("tests.Sensor.Mine", "hello there")]


@pytest.mark.parametrize("kind", [MemorySensorService, lambda: MockSensorService(MockSensorWrapper("p", "S"))])
def test_pages_of_values_are_asked_for_as_in_stackstorm(kind: Callable[[], Any]) -> None:
    service = kind()
    for name in "abc":
        service.set_value(name, name)
    asked: list[dict[str, Any]] = [
        {},
        {"offset": None},
        {"limit": -1},
        {"limit": 0},
        {"limit": 2, "offset": 1},
        {"offset": 2},
    ]
    found = ["".join(item.value for item in service.list_values(**page)) for page in asked]
    assert found == ["abc", "abc", "abc", "abc", "bc", "c"]


def test_a_method_that_there_is_not_is_refused_as_by_a_container() -> None:
    connection = MemoryConnection(MemoryContainer(), "p.S")
    with pytest.raises(RpcError, match=r"there is no method 'datastore\.swap'"):
        connection.call("datastore.swap", {})
    connection.notify("ready", {})
    with pytest.raises(TypeError):
        connection.notify("log", {"message": object()})


@pytest.mark.parametrize("lib", [False, True])
def test_a_packs_modules_come_first_and_stackstorms_names_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lib: bool
) -> None:
    (tmp_path / "sensors").mkdir()
    if lib:
        (tmp_path / "lib").mkdir()
    monkeypatch.setattr(sys, "path", ["elsewhere"])
    for _ in range(2):
        use_pack(tmp_path)
    own = [*([str(tmp_path / "lib")] if lib else []), str(tmp_path / "sensors")]
    assert sys.path == [*own, "elsewhere", str(ROOT / "st2sensor" / "compat")]


def test_what_is_no_pack_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match=r"name the folder that holds pack\.yaml"):
        use_pack(tmp_path)
