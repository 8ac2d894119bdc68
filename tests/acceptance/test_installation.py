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
from pathlib import Path

import pytest

from st2sensor import config
from st2sensor.cli.manual import PROGRAMS
from tests.plugins.patience import AT_LAST, LATER
from tests.support.command_lines import commands
from tests.support.containerfile import PIP, installed_here
from tests.support.servers.waiting import eventually
from tests.support.workspace import ROOT

SOURCES = ("st2sensor", "conf", "docs", "packs")


class Installed:
    """A virtualenv with the wheel, and an empty home.

    :param folder: holds both.
    """

    def __init__(self, wheel: Path, folder: Path) -> None:
        self.prefix = folder / "venv"
        self.home = folder / "home"
        self.share = self.prefix / "share" / "st2sensor"
        self.home.mkdir()
        # Installing pip there would take longer than all else.
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", self.prefix], check=True, timeout=AT_LAST)
        pip = [sys.executable, "-m", "pip", "--python", str(self.prefix), "--disable-pip-version-check"]
        subprocess.run(
            [*pip, "install", "--quiet", "--no-deps", str(wheel)],
            check=True,
            env={**os.environ, **PIP},
            timeout=AT_LAST,
        )
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
