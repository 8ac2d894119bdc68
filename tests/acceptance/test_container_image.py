"""The image's recipe, carried out without a container engine, and what comes out of it.

The recipe's own commands install the package. What requirements.txt pins is taken from this environment, where `make
test` has installed it: pip checks that nothing is missing, and asks no registry.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from st2sensor.config.options.sections import GROUPS
from tests.plugins.patience import LATER, SOON
from tests.support.containerfile import Build, can_chroot, installed_here, parsed
from tests.support.servers.ports import free_port
from tests.support.servers.waiting import eventually
from tests.support.workspace import ROOT

STAGES = parsed((ROOT / "conf" / "Containerfile").read_text())
IMAGE = STAGES[-1]

CONFIG = """\
[database]
connection = sqlite://
[messaging]
url = local://
"""

STATE = "/var/lib/st2sensor"


@pytest.fixture
def build(folder: Path) -> Build:
    """What the recipe makes."""
    folder.chmod(0o755)
    root = folder / "root"
    root.mkdir()
    made = Build(root, ROOT, chrooted=can_chroot())
    installed_here(root / "packages")
    packages = "/packages" if made.chrooted else str(root / "packages")
    path = f"echo {packages} > /opt/st2sensor/lib/python3.11/site-packages/packages.pth"
    made.build(STAGES, {"/opt/st2sensor/bin/pip install --disable-pip-version-check -r": path})
    return made


class Running:
    """The image's entry point, with a port of its own, a pack and everything embedded."""

    def __init__(self, build: Build) -> None:
        self._build = build
        self.address = f"127.0.0.1:{free_port()}"
        self._variables = {
            **IMAGE.environment,
            "ST2_SENSORCONTAINER__HTTP": self.address,
            # Where the root is not the folder, the defaults are below it.
            "ST2_SENSORCONTAINER__STATE_DIR": f"{STATE}/",
            "ST2_SYSTEM__BASE_PATH": "/opt/stackstorm/",
        }
        build.host("/etc/st2/st2.conf").write_text(CONFIG)
        shutil.copytree(ROOT / "packs" / "examples", build.host("/opt/stackstorm/packs/examples"))
        assert self.run("st2ctl --config-file=/etc/st2/st2.conf reload --register-all") == 0
        (entry,) = IMAGE.of("ENTRYPOINT")
        command = shlex.join([*entry.words, "--config-file=/etc/st2/st2.conf"])
        self._process = self._started(f"exec {command}", stdout=subprocess.PIPE)

    @property
    def is_chrooted(self) -> bool:
        return self._build.chrooted

    def run(self, script: str) -> int:
        """The exit code of a command in the image."""
        process = self._started(script, stdout=subprocess.DEVNULL)
        return process.wait(LATER)

    def answer(self, path: str) -> tuple[int, bytes]:
        """What a path is answered by HTTP; 0 before there is an answer."""
        assert self._process.poll() is None, self._process.communicate()[0]
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", timeout=SOON) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()
        except OSError as error:
            return 0, str(error).encode()

    def stop(self) -> tuple[int, str]:
        """As an engine stops it; the exit code, and the log."""
        (stop,) = IMAGE.of("STOPSIGNAL")
        (main,) = psutil.Process(self._process.pid).children() if self._build.chrooted else [self._process]
        main.send_signal(signal.Signals[stop.text])
        log = self._process.communicate(timeout=SOON)[0].decode()
        return self._process.returncode, log

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()

    def _started(self, script: str, stdout: int) -> subprocess.Popen[bytes]:
        (user,), (volume,), *_ = IMAGE.of("USER"), IMAGE.of("VOLUME")
        command = self._build.command(script, STATE, user=user.text, writable=[volume.text, "/tmp"])
        return subprocess.Popen(command, env=self._build.environment(self._variables), stdout=stdout)


@pytest.fixture
def running(build: Build) -> Iterator[Running]:
    started = Running(build)
    yield started
    started.close()


@pytest.mark.soak(minutes=2)
def test_the_image_runs_sensors_gets_ready_and_stops(running: Running) -> None:
    eventually("it is ready", lambda: running.answer("/ready")[0] == 200)
    eventually(
        "its sensor runs",
        lambda: b'st2sensor_sensor_running{sensor="examples.SampleSensor"} 1.0' in running.answer("/metrics")[1],
    )
    assert running.answer("/live") == (200, b"alive\n")
    # Files that the package brings.
    assert running.answer("/page.js")[0] == 200
    (check,) = IMAGE.of("HEALTHCHECK")
    probe = shlex.join(json.loads(check.text[check.text.index("[") :]))
    # It has a time limit of its own.
    eventually("the probe is answered", lambda: running.run(probe) == 0, LATER)
    assert running.run(f"{probe}/absent") == 1
    eventually("the probe is answered", lambda: running.run(probe.replace("/live", "/ready")) == 0, LATER)
    if running.is_chrooted:
        # As an orchestrator runs it: not as root, and nothing but its volumes can be written.
        assert running.run('test "$(id -u)" = 10001') == 0
        assert [running.run(f"touch {path}/written") for path in (STATE, "/etc/st2")] == [0, 1]
    code, log = running.stop()
    assert code == 0
    records = [json.loads(line) for line in log.splitlines()]
    assert any("examples.SampleSensor" in str(record) for record in records), log


def test_what_the_recipe_says_fits_together() -> None:
    text = (ROOT / "conf" / "Containerfile").read_text()
    # An engine's own choice of registry; a stage is no image.
    assert {stage.base for stage in STAGES} == {"python:3.11-slim-bookworm"}
    assert not re.search(r"https?://|--index-url|\w+\.\w+/python:", text)
    known = {f"ST2_{group}__{option.name}".upper() for group, options in GROUPS.items() for option in options}
    assert {name for name in IMAGE.environment if name.startswith("ST2_")} <= known
    assert IMAGE.environment["ST2_SENSORCONTAINER__HTTP"].endswith(f":{IMAGE.of('EXPOSE')[0].text}")
    assert IMAGE.of("USER")[0].text == "10001:10001"
    assert IMAGE.of("VOLUME")[0].text == STATE
