"""Sixty ordinary mistakes at the command line: each has its message and its exit code, and none ends in a traceback."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import pytest

from st2sensor import config
from st2sensor.cli.__main__ import PROGRAMS
from st2sensor.config import loading
from st2sensor.outbox.database.file import open_file
from tests.plugins.patience import LATER
from tests.support.interpreters import interpreter
from tests.support.workspace import ROOT, environment

NOBODY = 65534

CONFIG = """\
[system]
base_path = .
[content]
packs_base_paths = packs
[database]
connection = sqlite:///st2.db
[messaging]
url = local://
[sensorcontainer]
state_dir = state
"""

BROKEN = {
    "no-section": "state_dir = x\n",
    "bad-type": CONFIG + "restart_delay = soon\n",
    "bad-url": CONFIG.replace("local://", "ampq://localhost"),
    "bad-database": CONFIG.replace("sqlite:///st2.db", "mysql://localhost/st2"),
    "bad-choice": CONFIG.replace("url = local://", "url = local://\nserializer = xml"),
    "bad-number": CONFIG + "lease = -5\n",
    "bad-dollar": CONFIG + "http = $port\n",
    "no-mongo": CONFIG.replace("sqlite:///st2.db", "mongodb://127.0.0.1:1/st2?serverSelectionTimeoutMS=200"),
    "no-broker": CONFIG.replace("local://", "amqp://guest:guest@127.0.0.1:1//"),
    "misspelt": CONFIG + "restart_delai = 5\n",
}
"""Configurations with a mistake."""

CODE = "from st2reactor.sensor.base import Sensor\n\n\nclass S(Sensor):\n" + "".join(
    f"    def {name}: pass\n"
    for name in (
        *("setup(self)", "run(self)", "cleanup(self)"),
        *("add_trigger(self, trigger)", "update_trigger(self, trigger)", "remove_trigger(self, trigger)"),
    )
)

SENSOR = "class_name: S\nentry_point: s.py\ntrigger_types:\n  - name: t\n"


@pytest.fixture(scope="module")
def site() -> Iterator[Path]:
    """A folder with a registered pack, files with mistakes, and no container. Every user may look into it."""
    with tempfile.TemporaryDirectory(prefix="st2s-") as made:
        folder = Path(made)
        folder.chmod(0o755)
        _fill(folder)
        yield folder


def _fill(folder: Path) -> None:
    (folder / "st2.conf").write_text(CONFIG)
    for name, text in BROKEN.items():
        (folder / f"{name}.conf").write_text(text)
    write_pack(folder / "packs" / "mine")
    (folder / "packs" / "linux").symlink_to(ROOT / "packs" / "linux")
    write_pack(folder / "other" / "async")
    sensor = folder / "other" / "async" / "sensors" / "s.py"
    sensor.write_text(CODE.replace("def run", "async def run"))
    write_pack(folder / "other" / "syntax")
    (folder / "other" / "syntax" / "sensors" / "s.py").write_text("class S(:\n")
    write_pack(folder / "other" / "yaml")
    (folder / "other" / "yaml" / "sensors" / "s.yaml").write_text("class_name: [S\n")
    (folder / "empty").mkdir()
    (folder / "nan.jsonl").write_text('{"trigger": "mine.t", "payload": {"n": NaN}}\n')
    (folder / "cut.jsonl").write_text('{"trigger": "mine.t", "payl')
    (folder / "keys.yaml").write_text("- name: a\n  value: 5\n")
    (folder / "nokeys.yaml").write_text("a: b\n")
    (folder / "locked.jsonl").write_text("")
    (folder / "locked.conf").write_text(CONFIG)
    for path in (folder / "locked.jsonl", folder / "locked.conf"):
        path.chmod(0o000)
    settings = config.load([str(folder / "st2.conf")])
    (folder / "state").mkdir(exist_ok=True)
    open_file(settings.container.state_dir / "outbox.db", settings.outbox.durability).close()
    (folder / "state").chmod(0o700)
    done = subprocess.run(
        [sys.executable, "-m", "st2sensor.cli", "st2ctl", "--config-file", "st2.conf", "reload"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=LATER,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "st2.db").chmod(0o644)


def write_pack(folder: Path) -> None:
    (folder / "sensors").mkdir(parents=True)
    (folder / "pack.yaml").write_text(f"name: {folder.name}\nversion: 1.0.0\n")
    (folder / "sensors" / "s.yaml").write_text(SENSOR)
    (folder / "sensors" / "s.py").write_text(CODE)


MISTAKES: list[tuple[str, int, str]] = [
    # Commands and options.
    ("st2sensor lst", 2, "No such command 'lst'. Did you mean 'list'"),
    ("st2sensor dead-leters list", 2, "Did you mean 'dead-letters'?"),
    ("st2sensor key gett a", 2, "Did you mean 'get'"),
    ("st2ctl relod", 2, "Did you mean 'reload'?"),
    ("st2sensor list --jsn", 2, "Did you mean '--json'?"),
    ("st2sensor show", 2, "Missing argument 'PACK.CLASS'"),
    ("st2sensor show mine.S more", 2, "unexpected extra argument (more)"),
    ("st2sensor list --state runing", 2, "'runing' is not one of"),
    ("st2sensor top --interval fast", 2, "'fast' is not a valid float"),
    ("st2sensor top --json", 2, "--json needs --once"),
    ("st2sensor log-level LOUD", 2, "'LOUD' is not one of"),
    ("st2sensor completion powershell", 2, "'powershell' is not one of"),
    ("st2ctl start st2sensorcontaner", 2, "is not one of"),
    ("st2ctl restart-component", 2, "Missing argument 'COMPONENT'"),
    ("st2sensor start", 2, "It is a command of st2ctl: st2ctl start"),
    ("st2sensor reload --register-all", 2, "It is a command of st2ctl: st2ctl reload"),
    ("st2ctl list", 2, "It is a command of st2sensor: st2sensor list"),
    ("st2ctl dead-letters list", 2, "It is a command of st2sensor: st2sensor dead-letters"),
    ("st2sensor list mine.S", 2, "unexpected extra argument (mine.S)"),
    ("st2ctl clean", 2, "there is no terminal to confirm it at; add --yes"),
    ("st2-register-content --register-al", 2, "'--register-all'"),
    ("st2-generate-symmetric-crypto-key", 2, "Missing option '--key-path'"),
    # References.
    ("st2sensor show mine.T", 66, "sensor mine.T is not registered: check the name with st2sensor list"),
    ("st2sensor show linux.FileWachSensor", 66, "; did you mean linux.FileWatchSensor?"),
    ("st2sensor show FileWatchSensr", 66, "; did you mean linux.FileWatchSensor?"),
    ("st2sensor enable linx.FileWatchSensor", 66, "; did you mean linux.FileWatchSensor?"),
    ("st2sensor disable nothing.Similar", 66, "sensor nothing.Similar is not registered"),
    ("st2sensor run mine.Q", 66, "mine.Q"),
    ("st2sensor dispatch mine.tt", 65, "trigger mine.tt is not registered; did you mean mine.t"),
    ("st2sensor triggers add linux.file_watch.lin file_path=/x", 65, "; did you mean linux.file_watch.line?"),
    ("st2sensor triggers remove linux.nothing", 66, "there is no trigger linux.nothing; st2sensor triggers lists them"),
    ("st2sensor key get gihub.token", 66, "; did you mean github.token?"),
    ("st2sensor key delete nothing", 66, "nothing"),
    ("st2sensor apikey revoke 12345678", 66, "there is no API key 12345678; st2sensor apikey list shows them"),
    ("st2sensor dead-letters show 7", 66, "there is no dead letter 7"),
    ("st2sensor drain node7", 66, "no node is called node7"),
    ("st2sensor show mine", 66, "; did you mean mine.S?"),
    ("st2sensor show mine.S@prod", 66, "; did you mean mine.S?"),
    ("st2sensor dispatch t {}", 65, "; did you mean mine.t?"),
    ("st2sensor dev packs/mine --sensor Nope --state-dir dev", 66, "no such sensor; the sensors are: mine.S"),
    ("st2sensor key move mine.S mine.S", 65, "name two different sensors"),
    # Values.
    ("st2sensor dispatch mine.t payload.json", 2, "or - to read it from standard input"),
    ("st2sensor events --where line=foo", 2, "Invalid value for --where: 'line=foo' is not a condition"),
    ("st2sensor replay --where foo", 2, "Invalid value for --where: 'foo' is not a condition"),
    ("st2sensor dead-letters show abc", 2, "Invalid value for 'ID': 'abc' is not a valid integer"),
    ("st2sensor init My-Pack", 2, "'My-Pack' cannot be the name of a pack; use lower-case letters"),
    ("st2sensor init new --sensor lower", 2, "'lower' cannot be the name of the sensor's class"),
    ("st2sensor dispatch mine.t {", 2, "not JSON"),
    ("st2sensor dispatch mine.t []", 2, "a payload must be a JSON object"),
    ('st2sensor dispatch mine.t {"n":1e999}', 2, "cannot be sent"),
    ("st2sensor triggers add linux.file_watch.line file_path", 2, "write NAME=VALUE"),
    ("st2sensor triggers add linux.file_watch.line path=/x", 65, "parameters do not fit trigger type"),
    ("st2sensor key set a b --ttl soon", 2, "'soon' is not a valid float"),
    ("st2sensor key set a b --ttl -5", 65, "ttl"),
    ("st2sensor key set a b --encrypt", 78, "encryption_key_path"),
    ("st2sensor key load keys.yaml", 65, "the value of a is not text: quote it, or add --convert"),
    ("st2sensor key load nokeys.yaml", 65, "nokeys.yaml"),
    (
        "st2sensor dead-letters list --since yesterday",
        2,
        "'yesterday' is not a time; write 90s, 30m, 2h or 7d",
    ),
    ("st2sensor dead-letters purge 1 --all", 2, "name ids, or choose with --all or a filter, but not both"),
    ("st2sensor replay nan.jsonl", 65, "nan.jsonl:1: NaN is not JSON"),
    ("st2sensor replay cut.jsonl", 65, "cut.jsonl:1: "),
    ("st2sensor replay st2.conf", 65, "st2.conf:1: not JSON: "),
    # Paths.
    ("st2sensor validate packs/mine/sensors/s.py", 2, "Invalid value for 'PACK_DIR': Directory"),
    ("st2sensor validate packs", 65, "name the folders of packs, as in packs/*"),
    ("st2sensor key load empty", 2, "File 'empty' is a directory"),
    ("st2sensor replay nowhere.jsonl", 2, "'nowhere.jsonl' does not exist"),
    ("st2sensor key load nowhere.yaml", 65, "nowhere.yaml"),
    ("st2sensor validate nowhere", 2, "'nowhere' does not exist"),
    ("st2sensor validate empty", 65, "pack.yaml"),
    ("st2sensor validate other/async", 1, "s.py:6: error: run() of S is an async def"),
    ("st2sensor validate other/syntax", 1, "s.py:1: error: syntax error"),
    ("st2sensor validate other/yaml", 1, "s.yaml:"),
    ("st2sensor dev empty", 65, "empty: this folder is not a pack: it has no pack.yaml; name a pack's folder"),
    ("st2sensor init packs/mine", 73, "packs/mine already exists and is not overwritten; choose another name"),
    ("st2ctl reload --register-pack empty", 1, "the pack has no pack.yaml; add one with a name and a version"),
    # The configuration.
    ("st2sensor --config-file packs/mine/pack.yaml list", 78, "pack.yaml:2: Section must be started before assignment"),
    ("st2sensor -c nowhere.conf list", 2, "No such option '-c'"),
    ("st2sensor --config-file nowhere.conf list", 78, "no configuration file at"),
    ("st2sensor --config-file no-section.conf list", 78, "no-section.conf"),
    ("st2sensor --config-file bad-type.conf list", 78, "[sensorcontainer] restart_delay: "),
    ("st2sensor --config-file bad-url.conf list", 78, "[messaging] url"),
    ("st2sensor --config-file bad-database.conf list", 78, "[database] connection"),
    ("st2sensor --config-file bad-choice.conf list", 78, "[messaging] serializer"),
    ("st2sensor --config-file bad-number.conf list", 78, "[sensorcontainer] lease"),
    ("st2sensor --config-file bad-dollar.conf list", 78, "write $ as $$"),
    ("st2sensor --config-file misspelt.conf list", 0, "did you mean restart_delay?"),
    # No container, no server, no permission.
    ("st2sensor restart mine.S", 69, "no container is listening at"),
    ("st2sensor logs mine.S", 69, "st2ctl start starts one"),
    ("st2sensor top", 69, "no container is listening at"),
    ("st2sensor log-level DEBUG", 69, "no container is listening at"),
    ("st2sensor --config-file no-mongo.conf list", 69, "127.0.0.1:1"),
    ("st2sensor --config-file no-broker.conf dispatch mine.t", 69, "127.0.0.1:1"),
    ("nobody: st2sensor dead-letters list", 77, "this user may not read and write it; run this as root"),
    ("nobody: st2sensor --config-file locked.conf list", 77, "locked.conf"),
    ("nobody: st2sensor enable mine.S", 77, "st2.db"),
    ("nobody: st2sensor init packs/new", 77, "packs/new"),
    ("nobody: st2sensor key set a b", 77, "st2.db"),
    (
        "nobody: st2sensor events",
        77,
        "this user may not read and write it; run this as the container's user, or as root",
    ),
]


@contextmanager
def nobody() -> Iterator[None]:
    """Act as a user without privileges; another user than root already is one."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def mistaken(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs a command line as its program would; returns exit code, stdout and stderr."""
    monkeypatch.chdir(site)
    monkeypatch.setenv("ST2_CONF", str(site / "st2.conf"))
    monkeypatch.setattr(loading, "DEFAULT_CONFIG_FILE", str(site / "st2.conf"))

    def run(line: str, *more: str) -> tuple[int, str, str]:
        program, *arguments = line.removeprefix("nobody: ").split(" ")
        module, _, main = PROGRAMS[program].partition(":")
        call = getattr(importlib.import_module(module), main)
        if line.startswith("nobody: "):
            with nobody():
                code = call([*arguments, *more])
        else:
            code = call([*arguments, *more])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.mark.parametrize(("line", "code", "message"), MISTAKES, ids=[line for line, _, _ in MISTAKES])
def test_a_mistake_has_its_message_and_its_exit_code(
    mistaken: Callable[..., tuple[int, str, str]], line: str, code: int, message: str
) -> None:
    if "gihub" in line:
        mistaken("st2sensor key set github.token x")
    found, stdout, stderr = mistaken(line)
    told = " ".join((stdout + stderr).split())
    assert message in told
    assert found == code, told
    assert "Traceback" not in told
    assert "internal error" not in told


def test_there_are_at_least_sixty() -> None:
    assert len({line for line, _, _ in MISTAKES}) >= 60


@pytest.mark.parametrize(
    ("line", "code", "kind"),
    [
        ("st2sensor show mine.T --json", 66, "SensorNotFound"),
        ("st2sensor top --json --once", 69, "ContainerAway"),
        ("st2sensor list --json --state runing", 2, "UsageError"),
        ("st2sensor --config-file nowhere.conf list --json", 78, "ConfigError"),
        ("st2sensor replay nan.jsonl --json", 65, "RecordingError"),
        ("nobody: st2sensor dead-letters list --json", 77, "AccessDenied"),
    ],
)
def test_with_json_a_mistake_is_json_as_well(
    mistaken: Callable[..., tuple[int, str, str]], line: str, code: int, kind: str
) -> None:
    found, stdout, stderr = mistaken(line)
    error = json.loads(stdout)["error"]
    assert (found, error["code"], error["type"]) == (code, code, kind)
    assert error["message"].strip()
    assert error["message"] in " ".join(stderr.split())


LAUNCH = """
import sys
sys.argv[0] = "st2sensor"
import st2sensor.cli
print("begun", file=sys.stderr, flush=True)
import runpy
runpy.run_module("st2sensor.cli", run_name="__main__")
"""
"""Says when the interpreter has reached our code: nobody can handle an earlier Ctrl-C."""


def process(site: Path, *words: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", LAUNCH, *words],
        cwd=site,
        env={**environment(), "ST2_CONF": str(site / "st2.conf"), "PYTHONUNBUFFERED": "1", **variables},
        # It stays open: a command that reads from it waits.
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_port_in_use_is_named_with_what_happens_next(site: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        place = f"127.0.0.1:{other.getsockname()[1]}"
        # The page is no reason to stop the sensors.
        container = process(site, "st2sensorcontainer", ST2_SENSORCONTAINER__HTTP=place)
        try:
            assert container.stderr is not None
            lines = list(_until("listening is retried", container.stderr))
        finally:
            container.send_signal(signal.SIGINT)
            _, rest = container.communicate(timeout=LATER)
    told = lines[-1]
    assert f"[sensorcontainer] http: cannot listen at {place}: another program uses this port" in told
    assert container.returncode == 0
    assert "Traceback" not in "".join(lines) + rest


def test_a_wrong_python_is_named_with_those_that_work(tmp_path: Path) -> None:
    for name in ("Makefile", "requirements.txt", "setup.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)

    def install(python: str) -> tuple[int, str]:
        command = ["make", "install", f"PYTHON={python}"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=LATER, check=False)
        return done.returncode, done.stderr

    older = tmp_path / "python3.9"
    older.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.18 || exit 1\n')
    older.chmod(0o755)
    real = interpreter("3.9")
    for python, found in ((str(older), "Python 3.9.18"), *([(real, "Python 3.9.")] if real else [])):
        code, told = install(python)
        assert code == 2
        assert f"st2sensor needs CPython 3.11, 3.12 or 3.13, but {python} is: {found}" in told
        assert "make install PYTHON=/usr/bin/python3.13" in told
    code, told = install("python3.99")
    assert code == 2
    assert "but python3.99 is: " in told
    assert "not found" in told
    assert not (tmp_path / ".venv").exists()


def _until(words: str, stream: IO[str]) -> Iterator[str]:
    """Yield lines until one contains these words."""
    for line in stream:
        yield line
        if words in line:
            return


FOLLOWING = [
    ("st2sensor", "tail"),
    ("st2sensor", "dev", "packs/mine", "--no-virtualenv", "--state-dir", "dev"),
    ("st2sensor", "run", "mine.S"),
    ("st2sensor", "replay", "slow.jsonl", "--force"),
    ("st2sensor", "dispatch", "mine.t", "-"),
    ("st2sensorcontainer",),
]
"""Commands that take until Ctrl-C, or long."""


@pytest.mark.parametrize("delay", [0.4, *(pytest.param(delay, marks=pytest.mark.soak) for delay in (0.0, 0.05, 2.0))])
@pytest.mark.parametrize("words", FOLLOWING, ids=" ".join)
def test_ctrl_c_ends_a_command_without_a_traceback(site: Path, words: tuple[str, ...], delay: float) -> None:
    times = ("2026-01-31T12:00:00Z", "2026-01-31T13:00:00Z")
    lines = [json.dumps({"time": time, "trigger": "mine.t", "payload": {}}) for time in times]
    (site / "slow.jsonl").write_text("\n".join(lines))
    # The import of a module that is cut leaves a file open, which only developers' warnings mention.
    command = process(site, *words, PYTHONWARNINGS="")
    assert command.stderr is not None
    assert command.stderr.readline() == "begun\n"
    with suppress(subprocess.TimeoutExpired):
        # A moment that belongs to no step of the command on purpose: Ctrl-C may come at any time.
        command.wait(delay)
    command.send_signal(signal.SIGINT)
    try:
        stdout, stderr = command.communicate(timeout=LATER)
    finally:
        command.kill()
    assert "Traceback" not in stdout + stderr
    assert "KeyboardInterrupt" not in stdout + stderr
    assert command.returncode in (0, 130, -signal.SIGINT), stderr
