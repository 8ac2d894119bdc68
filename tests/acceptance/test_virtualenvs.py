"""Packs with requirements: virtualenvs are made, made anew, and missed."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

from tests.servers.waiting import eventually
from tests.workspace import Workspace

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


def test_a_pack_with_requirements_needs_its_virtualenv_and_a_reload_makes_it(embedded: Workspace) -> None:
    used = embedded.folder / "used"
    embedded.add_sensor("p", "Uses", USES.format(folder=embedded.folder))
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


def test_a_virtualenv_that_cannot_be_made_says_what_pip_said_and_leaves_what_was_there(embedded: Workspace) -> None:
    embedded.add_sensor("p", "Uses", USES.format(folder=embedded.folder))
    home = embedded.folder / "virtualenvs" / "p"
    require(embedded, "./no-such-file.whl")
    done = embedded.reload("--register-setup-virtualenvs")
    assert done.returncode == 1
    assert f"error: {embedded.packs}/p/requirements.txt: the virtualenv of pack p cannot be made: " in done.stderr
    assert "no-such-file.whl" in done.stderr
    assert "correct the requirements" in done.stderr
    assert not home.exists()
    require(embedded, wheel(embedded.folder, "1.0"))
    embedded.reload_well("--register-setup-virtualenvs")
    (home / "left").touch()
    require(embedded, "./no-such-file.whl")
    assert embedded.reload("--register-recreate-virtualenvs").returncode == 1
    assert (home / "left").exists()


def test_the_python_versions_of_a_pack_are_respected(embedded: Workspace) -> None:
    embedded.add_sensor("p", "Uses", USES.format(folder=embedded.folder))
    pack = embedded.packs / "p" / "pack.yaml"
    own = "{}.{}".format(*sys.version_info)
    require(embedded, wheel(embedded.folder, "1.0"))
    pack.write_text("name: p\nversion: 1.0.0\npython_versions: ['2', 2.7]\n")
    done = embedded.reload("--register-setup-virtualenvs")
    assert done.returncode == 1
    assert f"{pack}:3: python_versions: the pack runs on Python 2, 2.7, and this is {own}; install one" in done.stderr
    pack.write_text("name: p\nversion: 1.0.0\npython_versions: ['2', '3']\n")
    embedded.reload_well("--register-setup-virtualenvs")
    assert f"version = {own}" in (embedded.folder / "virtualenvs" / "p" / "pyvenv.cfg").read_text()


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
