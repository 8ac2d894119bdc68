"""Packs with requirements: virtualenvs are made, made again, and missed."""

from __future__ import annotations

import os
import sys
import venv
import zipfile
from pathlib import Path
from sysconfig import get_path

import pytest

from tests.support.servers.waiting import eventually
from tests.support.workspace import Workspace

USES = """
import sys
import time

import tinylib

class Uses(Sensor):
    def run(self):
        with open("{folder}/used", "w") as file:
            file.write(f"{{tinylib.VERSION}} {{sys.prefix}}")
        time.sleep(1000)
"""


QUICK = """#!/bin/sh
# Called as python3.99 -m venv HOME.
set -e
{python} -m venv --without-pip "$3"
ln -s {packages}/pip {packages}/pip-*.dist-info "$3"/lib/python3*/site-packages/
"""


@pytest.fixture
def quick(embedded: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pack p gets virtualenvs that borrow the pip of this one: installing it takes most of the time."""
    packages = Path(get_path("purelib"))
    if not (packages / "pip").exists():
        # Then it takes its time.
        return
    folder = embedded.folder / "bin"
    folder.mkdir()
    python = folder / "python3.99"
    python.write_text(QUICK.format(python=sys.executable, packages=packages))
    python.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    (embedded.add_pack("p") / "pack.yaml").write_text("name: p\nversion: 1.0.0\npython_versions: ['3.99']\n")


def add_uses(workspace: Workspace) -> None:
    """Add the sensor that uses the package, to a pack whose pack.yaml stays as it is."""
    pack = workspace.packs / "p" / "pack.yaml"
    text = pack.read_text() if pack.exists() else None
    workspace.add_sensor("p", "Uses", USES.format(folder=workspace.folder))
    if text is not None:
        pack.write_text(text)


def wheel(folder: Path, version: str) -> Path:
    """A package as pip installs it, that only these tests know."""
    path = folder / f"tinylib-{version}-py3-none-any.whl"
    info = f"tinylib-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tinylib.py", f"VERSION = '{version}'\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: tinylib\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def require(workspace: Workspace, *lines: object) -> None:
    (workspace.packs / "p" / "requirements.txt").write_text("\n".join(map(str, lines)) + "\n")


@pytest.mark.usefixtures("quick")
def test_a_pack_with_requirements_needs_its_virtualenv_and_a_reload_makes_it(embedded: Workspace) -> None:
    used = embedded.folder / "used"
    add_uses(embedded)
    embedded.add_sensor(
        "q", "Idle", "import time\n\nclass Idle(Sensor):\n    def run(self):\n        time.sleep(1000)\n"
    )
    require(embedded, "# a comment", "", wheel(embedded.folder, "1.0"))
    done = embedded.reload()
    assert done.returncode == 1
    assert done.stderr == (
        f"error: {embedded.packs}/p/requirements.txt: pack p has requirements and no virtualenv at "
        f"{embedded.folder}/virtualenvs/p; make it with: st2ctl reload --register-setup-virtualenvs\n"
    )
    container = embedded.start()
    container.wait_for_log("q.Idle started")

    done = embedded.reload("--register-setup-virtualenvs")
    assert done.returncode == 0, done.stderr
    assert "p: making a virtualenv with" in done.stderr
    assert "Successfully installed tinylib-1.0" in done.stderr
    made = [line.split() for line in done.stdout.splitlines() if line.startswith("virtualenv")]
    assert ["virtualenv", "p", "created"] in made
    home = embedded.folder / "virtualenvs" / "p"
    eventually("it runs in its virtualenv", lambda: used.exists() and used.read_text() == f"1.0 {home}")
    assert not (embedded.folder / "virtualenvs" / "q").exists()

    # Nothing to do, and nothing is done.
    before = (home / "pyvenv.cfg").stat().st_mtime_ns
    assert "Successfully" not in embedded.reload("--register-setup-virtualenvs").stderr
    require(embedded, wheel(embedded.folder, "2.0"))
    embedded.reload_well("--register-setup-virtualenvs", "--register-sensors")
    eventually("it runs with the new package", lambda: used.read_text() == f"2.0 {home}")
    assert (home / "pyvenv.cfg").stat().st_mtime_ns == before

    (home / "left").touch()
    embedded.reload_well("--register-recreate-virtualenvs")
    assert not (home / "left").exists()
    eventually("it was started again", lambda: container.log.count("p.Uses started") == 3)
    assert container.log.count("q.Idle started") == 1


@pytest.mark.soak
@pytest.mark.usefixtures("quick")
def test_a_virtualenv_that_cannot_be_made_says_what_pip_said_and_leaves_what_was_there(embedded: Workspace) -> None:
    add_uses(embedded)
    home = embedded.folder / "virtualenvs" / "p"
    require(embedded, "./no-such-file.whl")
    done = embedded.reload("--register-setup-virtualenvs")
    assert done.returncode == 1
    assert f"error: {embedded.packs}/p/requirements.txt: the virtualenv of pack p cannot be made: " in done.stderr
    assert "no-such-file.whl" in done.stderr
    assert "correct the requirements" in done.stderr
    assert not home.exists()
    # Where it is missed, it is said why: to try the same once more is no remedy.
    for command, said in (
        (["show", "p.Uses"], "the virtualenv of pack p cannot be made: ERROR: "),
        (["list"], "looks like a filename, but the file does not exist"),
    ):
        shown = embedded.run("st2sensor", "--config-file", str(embedded.config), *command).stdout
        assert said in " ".join(shown.split()), shown
    assert "has requirements and no virtualenv" not in embedded.reload().stderr
    venv.create(home)
    (home / "left").touch()
    assert embedded.reload("--register-recreate-virtualenvs").returncode == 1
    assert (home / "left").exists()


def test_the_python_versions_of_a_pack_are_respected(embedded: Workspace) -> None:
    add_uses(embedded)
    pack = embedded.packs / "p" / "pack.yaml"
    own = "{}.{}".format(*sys.version_info)
    require(embedded, wheel(embedded.folder, "1.0"))
    pack.write_text("name: p\nversion: 1.0.0\npython_versions: ['2', 2.7]\n")
    done = embedded.reload("--register-setup-virtualenvs")
    assert done.returncode == 1
    assert f"{pack}:3: python_versions: the pack runs on Python 2, 2.7, and this is {own}; install one" in done.stderr
    pack.write_text("name: p\nversion: 1.0.0\npython_versions: ['2', '3']\n")
    # It would have to be made, if there were anything to be installed.
    require(embedded)
    done = embedded.reload("--register-setup-virtualenvs")
    assert "python_versions" not in done.stderr


@pytest.mark.soak
def test_a_virtualenv_of_this_python_is_made_with_a_pip_of_its_own(embedded: Workspace) -> None:
    add_uses(embedded)
    require(embedded, wheel(embedded.folder, "1.0"))
    (embedded.packs / "p" / "pack.yaml").write_text("name: p\nversion: 1.0.0\npython_versions: ['2', '3']\n")
    embedded.reload_well("--register-setup-virtualenvs")
    home = embedded.folder / "virtualenvs" / "p"
    own = "{}.{}".format(*sys.version_info)
    assert f"version = {own}" in (home / "pyvenv.cfg").read_text()
    assert list(home.glob("lib/python3*/site-packages/pip/__init__.py"))


def test_what_is_stackstorms_own_business_is_said_to_be(embedded: Workspace) -> None:
    done = embedded.reload("--register-actions", "--register-aliases")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines() == [
        "--register-actions is left to StackStorm: st2sensor registers sensors, triggers and rules",
        "--register-aliases is left to StackStorm: st2sensor registers sensors, triggers and rules",
    ]
    embedded.add_sensor("p", "Uses", "import no_such_library\n\nclass Uses(Sensor):\n    pass\n")
    assert embedded.reload().returncode == 1
    assert embedded.reload("--register-all", "--register-fail-on-failure").returncode == 1
    assert embedded.reload("--register-all", "--register-no-fail-on-failure").returncode == 0
