"""The wheel in a virtualenv of its own, away from any checkout; and a host that is set up as the README says.

What requirements.txt pins is taken from this environment, where `make test` has installed it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from st2sensor import config
from st2sensor.cli.manual import PROGRAMS
from tests.plugins.patience import AT_LAST, LATER
from tests.support.command_lines import commands
from tests.support.containerfile import PIP, installed_here
from tests.support.interpreters import interpreter
from tests.support.servers.ports import free_port
from tests.support.servers.waiting import eventually
from tests.support.workspace import ROOT

SOURCES = ("st2sensor", "conf", "docs", "packs")


class Installed:
    """A virtualenv with the wheel, and an empty home.

    :param folder: holds both.
    :param python: the interpreter, whose packages are taken from the index; None for this one, with the packages here.
    """

    def __init__(self, wheel: Path, folder: Path, python: str | None = None) -> None:
        self.prefix = folder / "venv"
        self.home = folder / "home"
        self.share = self.prefix / "share" / "st2sensor"
        self.home.mkdir()
        # Installing pip there would take longer than all else.
        run = partial(subprocess.run, timeout=AT_LAST)
        run([python or sys.executable, "-m", "venv", "--without-pip", self.prefix], check=True)
        pip = [sys.executable, "-m", "pip", "--python", str(self.prefix), "--disable-pip-version-check", "install"]
        if python is not None:
            done = run([*pip, "--quiet", str(wheel)], capture_output=True, text=True, check=False)
            if done.returncode and "NewConnectionError" in done.stderr:
                pytest.skip(f"pip reaches no package index: {done.stderr.splitlines()[0]}")
            assert done.returncode == 0, done.stderr
            return
        run([*pip, "--quiet", "--no-deps", str(wheel)], check=True, env={**os.environ, **PIP})
        packages = installed_here(folder / "packages")
        (site,) = self.prefix.glob("lib/python*/site-packages")
        (site / "packages.pth").write_text(f"{packages}\n")

    @property
    def variables(self) -> dict[str, str]:
        return {"PATH": f"{self.prefix}/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(self.home), "LANG": "C.UTF-8"}

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the empty home."""
        return subprocess.run(
            command,
            cwd=self.home,
            env={**self.variables, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=LATER,
        )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: a build leaves files behind."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, source)
        elif path.name in SOURCES:
            shutil.copytree(path, source / path.name, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*pip, "-w", folder, source], check=True, env={**os.environ, **PIP}, timeout=AT_LAST)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(wheel, tmp_path_factory.mktemp("installed"))


def test_the_demonstration_runs_in_an_empty_folder_and_fits_the_terminal(installed: Installed) -> None:
    output = installed.home / "demo.out"
    # Whatever configures containers of this host must not matter.
    variables = {**installed.variables, "ST2_CONF": "/nowhere", "ST2_DATABASE__CONNECTION": "mongodb://nowhere"}
    with output.open("w") as stream:
        demo = subprocess.Popen(
            ["st2sensor", "demo"], cwd=installed.home, env=variables, stdout=stream, stderr=subprocess.STDOUT
        )
    try:
        eventually("an event is shown", lambda: "demo.listening" in output.read_text(), LATER)
        said = output.read_text()
        watched = Path(said.partition("echo hello >> ")[2].split()[0]).expanduser()
        watched = installed.home / watched.relative_to(Path.home()) if watched.is_relative_to(Path.home()) else watched
        log = watched.parent / "container.log"
        eventually("the file is followed", lambda: "following" in log.read_text(), LATER)
        with watched.open("a") as file:
            file.write("hello\n")
        eventually("its line is shown", lambda: "linux.file_watch.line  line=hello" in output.read_text(), LATER)
        (address,) = re.findall(r"(http://\S+/hello)$", said, re.MULTILINE)
        eventually("webhooks are served", lambda: "listening at" in log.read_text(), LATER)
        posted = installed.run("curl", "-s", "-d", '{"name": "you"}', "-H", "Content-Type: application/json", address)
        assert posted.returncode == 0
        eventually("the post is shown", lambda: "core.st2.webhook" in output.read_text(), LATER)
        eventually("it fails", lambda: "FragileSensor failed; it starts again" in output.read_text(), LATER)
        eventually("it is back", lambda: "FragileSensor runs again" in output.read_text(), LATER)
    finally:
        demo.send_signal(signal.SIGINT)
        assert demo.wait(LATER) == 0
    shown = output.read_text()
    assert "process_spawn" not in shown
    assert max(map(len, shown.splitlines())) <= 80, shown
    assert shown.endswith("Everything has stopped.\n")


def belong_to(home: Path) -> set[int]:
    """Return the processes whose home is a folder."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"HOME={home}".encode() in path.read_bytes().split(b"\0"):
                found.add(int(path.parent.name))
    return found


@pytest.mark.soak
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("moment", ["Starting some sensors", "Ctrl-C stops everything", "demo.listening"])
def test_a_stop_ends_all_processes_of_the_demonstration_at_any_moment(
    installed: Installed, number: signal.Signals, moment: str
) -> None:
    output = installed.home / "stopped.out"
    variables = {**installed.variables, "PYTHONUNBUFFERED": "1"}
    with output.open("w") as stream:
        demo = subprocess.Popen(
            ["st2sensor", "demo"], cwd=installed.home, env=variables, stdout=stream, stderr=subprocess.STDOUT
        )
    try:
        eventually(moment, lambda: moment in output.read_text(), LATER)
        demo.send_signal(number)
        assert demo.wait(LATER) == 0
    finally:
        demo.kill()
    assert output.read_text().endswith("Everything has stopped.\n")
    assert belong_to(installed.home) == set()


@pytest.mark.soak
def test_the_demonstration_tells_programs_what_to_try_and_what_happens(installed: Installed) -> None:
    command = ["st2sensor", "demo", "--json"]
    with subprocess.Popen(
        command, cwd=installed.home, env=installed.variables, stdout=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        started = json.loads(demo.stdout.readline())
        assert started["kind"] == "started"
        assert started["webhook"].startswith("http://127.0.0.1:")
        assert Path(started["file"]).exists()
        seen = iter(map(json.loads, demo.stdout))
        event = next(line for line in seen if line["kind"] == "event" and line["trigger_type"] == "demo.listening")
        assert event["payload"]["ports"] is not None
        failed = next(line for line in seen if line["kind"] == "failed")
        assert next(line for line in seen if line["kind"] == "running")["sensor"] == failed["sensor"]
        demo.send_signal(signal.SIGINT)
        (*_, last) = seen
        assert (last["kind"], last["exit_code"], demo.wait(LATER)) == ("stopped", 0, 0)


def test_the_printed_configurations_are_complete(installed: Installed) -> None:
    production = installed.run("st2sensor", "config", "--production")
    assert production.stdout == (ROOT / "conf" / "st2.conf").read_text()
    assert installed.run("st2sensor", "config").stdout == production.stdout
    file = installed.home / "printed.conf"
    file.write_text(installed.run("st2sensor", "config", "--dev").stdout)
    settings = config.load([str(file)])
    assert settings.warnings == ()
    assert settings.container.state_dir == installed.home / "var"
    assert settings.content.pack_paths == (installed.share / "packs", installed.home / "var" / "packs")
    done = installed.run("st2ctl", "--config-file", str(file), "reload", "--register-all")
    assert done.returncode == 0, done.stderr
    assert "linux.FileWatchSensor" in done.stdout


def test_packs_are_written_without_a_configuration(installed: Installed) -> None:
    python = str(installed.prefix / "bin" / "python")
    assert installed.run(python, "-m", "st2sensor", "init", "astro").returncode == 0
    assert "nothing is wrong" in installed.run(python, "-m", "st2sensor", "validate", "astro").stdout
    assert installed.run(python, "-m", "st2sensor", "--version").stdout.startswith("st2sensor ")


INTERRUPTED = """
import atexit, os, runpy, signal, sys

moment, program = sys.argv[1:3]

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == moment:
            os.kill(os.getpid(), signal.SIGINT)

if moment == "the end":
    atexit.register(os.kill, os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
del sys.argv[:2]
runpy.run_path(program, run_name="__main__")
"""
"""Runs a program that gets SIGINT when it imports a module for the first time, or at its end."""


@pytest.mark.parametrize(
    ("program", "moment"),
    [
        ("st2sensor", "st2sensor"),
        ("st2sensor", "st2sensor.cli.commands.config"),
        ("st2ctl", "the end"),
        *(
            pytest.param(program, moment, marks=pytest.mark.soak)
            for program, moment in (
                ("st2sensor", "click"),
                ("st2sensor", "st2sensor.logs.setup"),
                ("st2sensor", "the end"),
                ("st2ctl", "st2sensor.cli.st2ctl"),
                ("st2ctl", "st2sensor.cli.daemon.background"),
                ("st2sensorcontainer", "st2sensor"),
                ("st2sensorcontainer", "st2sensor.cli.daemon.serve"),
                ("st2-register-content", "st2sensor.cli"),
                ("st2-generate-symmetric-crypto-key", "st2sensor.cli"),
            )
        ),
    ],
)
def test_ctrl_c_is_silent_from_the_first_import_to_the_end(installed: Installed, program: str, moment: str) -> None:
    words = {"st2sensor": ["config"], "st2ctl": ["--version"]}.get(program, [])
    if moment == "st2sensor.cli.daemon.background":
        words = ["status"]
    python, path = installed.prefix / "bin" / "python", installed.prefix / "bin" / program
    done = installed.run(str(python), "-c", INTERRUPTED, moment, str(path), *words)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


@pytest.mark.soak(minutes=2)
@pytest.mark.parametrize("version", ["3.12", "3.13", "3.14"])
def test_another_python_runs_a_pack_from_its_first_file_to_its_events(wheel: Path, version: str) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(
            f"there is no CPython {version}: install the package python{version}-venv of your distribution, or run "
            f"pyenv install {version}"
        )
    with tempfile.TemporaryDirectory(prefix="st2s-") as made:
        # The path of a socket must be short.
        one = Installed(wheel, Path(made), python)
        assert f"Python {version}." in one.run("python", "--version").stdout

        def told(*command: str) -> str:
            done = one.run(*command, PYTHONWARNINGS="error::DeprecationWarning:st2sensor")
            assert done.returncode == 0, done.stdout + done.stderr
            assert done.stderr == ""
            return done.stdout

        conf = one.home / "st2.conf"
        text = told("st2sensor", "config", "--dev")
        # Another test may use the port of the webhooks.
        conf.write_text(text.replace("[webhooks]", f"[webhooks]\nport = {free_port()}"))
        ours = ("--config-file", str(conf))
        told("st2sensor", "init", "--polling", "var/packs/astro")
        assert "nothing is wrong" in told("st2sensor", "validate", "var/packs/astro")
        assert "astro.AstroSensor" in told("st2ctl", *ours, "reload", "--register-all")
        told("st2ctl", *ours, "start")
        try:
            told(
                "st2sensor",
                *ours,
                "dispatch",
                "astro.file_changed",
                '{"file_path": "/by-hand", "size": 1, "modified": "x"}',
            )
            seen = "[]"

            def events() -> bool:
                nonlocal seen
                seen = told("st2sensor", *ours, "events", "--trigger", "astro.file_changed", "--json")
                return "/by-hand" in seen and "astro.AstroSensor" in seen

            eventually("both events have left", events, LATER)
            shown = json.loads(told("st2sensor", *ours, "list", "--json"))
            assert {item["state"] for item in shown if item["ref"].startswith("astro.")} == {"running"}
        finally:
            told("st2ctl", *ours, "stop")


def test_every_command_has_a_man_page(installed: Installed) -> None:
    folder = installed.prefix / "share" / "man" / "man1"
    expected = {"-".join([name, *words[1:]]) for name, root in PROGRAMS.items() for words, _ in commands(root, name)}
    assert {path.stem for path in folder.iterdir()} == expected
    page = (folder / "st2sensor-dev.1").read_text()
    assert page.startswith('.TH "ST2SENSOR-DEV" 1')
    for text in (".SH OPTIONS", r"\-\-fresh", ".SH EXAMPLES", "st2sensor dev packs/examples"):
        assert text in page
    if shutil.which("groff"):
        for path in folder.iterdir():
            done = installed.run("groff", "-man", "-Tutf8", "-ww", str(path))
            assert (done.returncode, done.stderr) == (0, "")


def test_the_guides_that_are_installed_refer_to_what_is_installed(installed: Installed) -> None:
    wrong = []
    for guide in installed.share.rglob("*.md"):
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", guide.read_text()):
            if not (guide.parent / link).exists():
                wrong.append(f"{guide.relative_to(installed.share)}: {link}")
    assert not wrong
    unit = (installed.share / "conf" / "st2sensorcontainer.service").read_text()
    documents = re.findall(r"^Documentation=file://(\S+)$", unit, re.MULTILINE)
    assert documents
    for document in documents:
        assert (installed.prefix / Path(document).relative_to("/opt/stackstorm/st2sensor")).is_file()


def test_make_install_names_the_version_that_it_needs_and_recovers_from_a_failed_attempt(tmp_path: Path) -> None:
    for name in ("Makefile", "requirements.txt", "setup.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / "python"
    environment = {"PATH": os.environ["PATH"], "PYTHON": str(python)}

    def install(script: str) -> subprocess.CompletedProcess[str]:
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
        command = ["make", "install", f"PYTHON={python}"]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=LATER
        )

    refused = install('[ "$1" = --version ] && echo Python 3.9.2 || exit 1')
    assert refused.returncode == 2
    assert f"st2sensor needs CPython 3.11, 3.12 or 3.13, but {python} is: Python 3.9.2" in refused.stderr
    assert "make install PYTHON=" in refused.stderr
    assert not (tmp_path / ".venv").exists()

    bare = install('case "$2" in *ensurepip*) exit 1;; esac')
    assert (bare.returncode, "has no venv" in bare.stderr) == (2, True)

    # Its venv's pip fails; an interpreter that cannot be run is left behind.
    venv = 'mkdir -p .venv/bin; printf "#!/bin/sh\\nexit {code}\\n" > .venv/bin/pip; chmod +x .venv/bin/pip'
    log = '[ "$1 $2" = "-m venv" ] || exit 0; echo "$@" >> log; '
    assert install(log + venv.format(code=1)).returncode == 2
    assert not (tmp_path / ".venv" / "installed").exists()
    again = install(log + venv.format(code=0))
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "log").read_text() == "-m venv --clear .venv\n" * 2
