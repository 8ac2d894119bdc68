"""The suite's own machinery: deadlines, the order of the soak, and the fork that runs commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from st2sensor.packs.code import check
from st2sensor.packs.code.location import Code
from tests.plugins import patience, soak
from tests.plugins.patience import LATER, SOON
from tests.support.check_client import CheckClient
from tests.support.forks import Forks
from tests.support.servers.process import alive
from tests.support.workspace import COMMANDS, ROOT, environment


def test_patience_that_is_asked_for_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(patience.VARIABLE, "3")
    assert patience.settle() == 3


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "three"])
def test_patience_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(patience.VARIABLE, text)
    with pytest.raises(ValueError, match=text):
        patience.settle()


def test_patience_is_measured_once_for_all_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(patience.VARIABLE)
    measured = patience.settle()
    assert measured >= 1
    assert float(os.environ[patience.VARIABLE]) == measured


def test_the_order_of_the_soak_is_that_of_the_commit() -> None:
    cases = [f"test_{number}" for number in range(20)]

    def order(commit: str) -> list[str]:
        return sorted(cases, key=lambda case: soak.place(commit, case))

    assert order("a1b2c3") == order("a1b2c3")
    assert order("a1b2c3") != order("d4e5f6") != cases


@pytest.mark.soak
def test_a_soak_starts_only_the_cases_that_fit_into_its_minutes(tmp_path: Path) -> None:
    (tmp_path / "test_cases.py").write_text(
        "import pytest\n"
        "@pytest.mark.soak(minutes=1)\ndef test_short(): pass\n"
        "@pytest.mark.soak(minutes=30)\ndef test_long(): pass\n"
        "def test_ordinary(): pass\n"
    )
    printed = pytest_prints(tmp_path, "-m", "soak", "--soak-minutes", "15")
    assert "soak: cases in the order of commit" in printed
    assert "1 passed, 1 skipped, 1 deselected" in printed
    assert "it takes 30 min" in printed
    assert "MINUTES=N" in printed


@pytest.mark.soak
def test_a_red_test_shows_its_containers_its_outbox_and_its_servers(tmp_path: Path) -> None:
    (tmp_path / "test_red.py").write_text(
        "from tests.support.servers.mongodb import MongoDB\n"
        "def test_red(embedded, tmp_path):\n"
        "    server = MongoDB(tmp_path)\n"
        "    embedded.reload_well()\n"
        "    embedded.start().wait_for_log('configured by')\n"
        "    assert not server\n"
    )
    printed = pytest_prints(tmp_path)
    assert "1 failed" in printed
    assert "of a container that runs" in printed
    assert "configured by" in printed
    assert "0 in outbox and 0 in dead_letters" in printed
    assert "MongoDB at 127.0.0.1:" in printed
    assert "is stopped" in printed


def pytest_prints(folder: Path, *arguments: str) -> str:
    """Run the tests of a folder as this suite would."""
    options = [
        "-p",
        "tests.conftest",
        "-p",
        "no:cacheprovider",
        "-c",
        str(ROOT / ".pytest.ini"),
        "--rootdir",
        str(folder),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *arguments, str(folder)],
        cwd=ROOT,
        env={name: value for name, value in environment().items() if not name.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        timeout=LATER,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with closing(Forks(COMMANDS, environment())) as started:
        yield started


def test_a_fork_ends_with_the_command_s_exit_code_and_output(forks: Forks, tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as out, (tmp_path / "errors").open("w") as errors:
        process = forks.start(
            ["st2ctl", "--nonsense"], cwd=tmp_path, env=environment(), stdout=out.fileno(), stderr=errors.fileno()
        )
        assert process.wait(SOON) == 2
    assert process.poll() == 2
    assert (tmp_path / "out").read_text() == ""
    assert "No such option" in (tmp_path / "errors").read_text()


def test_a_fork_can_be_killed(forks: Forks, tmp_path: Path) -> None:
    (tmp_path / "st2.conf").write_text("[sensorcontainer]\nstate_dir = state\n[database]\nconnection = sqlite://\n")
    with (tmp_path / "out").open("w") as out:
        command = ["st2sensorcontainer", "--config-file", "st2.conf"]
        process = forks.start(command, cwd=tmp_path, env=environment(), stdout=out.fileno(), stderr=out.fileno())
        assert process.poll() is None
        process.kill()
        assert process.wait(SOON) == -signal.SIGKILL
    process.kill()


SURROUNDINGS = """
import json, os, signal, sys, warnings

told = {
    "modules": sorted(sys.modules),
    "path": sys.path,
    "arguments": sys.argv,
    "variables": dict(os.environ),
    "folder": os.getcwd(),
    "session": os.getsid(0) == os.getpid(),
    "signals": [str(signal.getsignal(number)) for number in signal.valid_signals()],
    "streams": [sys.stdout.errors, sys.stderr.errors, sys.stdout.encoding],
    "output": [os.readlink(f"/proc/self/fd/{number}") for number in (1, 2)],
    "compiles": not sys.dont_write_bytecode,
    "limit": sys.getrecursionlimit(),
    "parent": os.getppid(),
}
with open(__file__ + ".json", "w") as file:
    json.dump(told, file)

class S:
    pass
"""


@pytest.mark.parametrize("keep_compiled", [True, False])
def test_a_check_in_a_fork_is_like_one_that_is_executed(tmp_path: Path, keep_compiled: bool) -> None:
    file = tmp_path / "s.py"
    file.write_text(SURROUNDINGS)
    code = Code(interpreter=Path(sys.executable), file=file, class_name="S", search_paths=(tmp_path,), pack=tmp_path)
    verdicts, told, parents = [], [], []
    with closing(CheckClient()) as checks:
        for run in (check._run, checks.run):
            verdicts.append(json.loads(run(code, SOON, keep_compiled)))
            told.append(json.loads((tmp_path / "s.py.json").read_text()))
            parents.append(told[-1].pop("parent"))
    assert told[0] == told[1]
    assert verdicts[0] == verdicts[1]
    assert "does not derive from Sensor" in verdicts[0]["problem"]
    assert parents[0] == os.getpid() != parents[1]


def test_a_check_in_a_fork_has_a_deadline_and_leaves_no_process(tmp_path: Path) -> None:
    file = tmp_path / "s.py"
    file.write_text("import time, os\nopen(__file__ + '.pid', 'w').write(str(os.getpid()))\ntime.sleep(1000)\n")
    code = Code(interpreter=Path(sys.executable), file=file, class_name="S", search_paths=(), pack=tmp_path)
    with closing(CheckClient()) as checks, pytest.raises(subprocess.TimeoutExpired):
        checks.run(code, 0.5, True)
    pid = tmp_path / "s.py.pid"
    assert not pid.exists() or not alive(int(pid.read_text()))
