"""Supervision from outside: what becomes of sensors that hang, flood, eat memory, or lose their zygote."""

from __future__ import annotations

import os
import pwd
import re
import resource
import signal
import subprocess
import sys
import uuid
import venv
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
import yaml

from tests.conftest import missing
from tests.plugins.patience import LATER
from tests.support.servers.process import alive, rest
from tests.support.servers.waiting import eventually
from tests.support.workspace import Container, Workspace

UP = [{"name": "up"}]

AT_ONCE = "restart_delay = 0.01\nrestart_delay_max = 0.05\n"
"""What has failed starts again without much of a wait."""

PATIENT = f"stop_timeout = {LATER:g}\n"
"""A sensor that stops, however slowly, is not killed."""

SLEEPER = """
import time

class {name}(Sensor):
    def run(self):
        self.sensor_service.dispatch("s.up", {{"name": "{name}"}})
        time.sleep(1000)
    def cleanup(self):
        print("cleaned up")
"""

PARENT = """
import os, signal, subprocess, time

class Parent(Sensor):
    def run(self):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        command = "trap '' TERM; while :; do sleep 1000; done"
        child = subprocess.Popen(["sh", "-c", command])
        self.sensor_service.dispatch("s.up", {"pids": [os.getpid(), child.pid]})
        while True:
            time.sleep(1000)
"""


def override(workspace: Workspace, pack: str, **values: object) -> None:
    """Set overrides for every sensor of a pack."""
    folder = workspace.folder / "overrides"
    folder.mkdir(exist_ok=True)
    (folder / f"{pack}.yaml").write_text(yaml.safe_dump({"st2sensor": {"defaults": values}}))


def zygote_of(container: Container) -> psutil.Process:
    (zygote,) = container.zygotes()
    return zygote


# The zygote, which is the warden.


def test_sensors_survive_their_zygote_and_the_next_one_is_their_warden(embedded: Workspace) -> None:
    embedded.configure(AT_ONCE)
    embedded.add_sensor("s", "Parent", PARENT, trigger_types=UP)
    embedded.add_sensor("s", "Other", SLEEPER.format(name="Other"), trigger_types=UP)
    embedded.reload_well()
    listener = embedded.listen()
    container = embedded.start()
    listener.wait_for("s.up", 2)
    first = zygote_of(container)
    before = {ref: process.pid for ref, process in container.wrappers().items()}

    first.kill()
    container.wait_for_log("died; its sensors keep running, and a new one replaces it")
    eventually("a new zygote", lambda: [item for item in container.zygotes() if item.pid != first.pid])
    assert {ref: process.pid for ref, process in container.wrappers().items()} == before

    # It starts sensors, too.
    container.wrappers()["s.Other"].kill()
    listener.wait_for("s.up", 3)

    pids = next(item.payload["pids"] for item in listener.of("s.up") if "pids" in item.payload)
    warden = zygote_of(container)
    container.process.kill()
    eventually("nothing is left", lambda: not any(alive(pid) for pid in [*pids, warden.pid]))


def test_a_killed_container_leaves_neither_sensors_nor_what_they_started(embedded: Workspace) -> None:
    embedded.add_sensor("s", "Parent", PARENT, trigger_types=UP)
    embedded.reload_well()
    listener = embedded.listen()
    container = embedded.start()
    (seen,) = listener.wait_for("s.up")
    zygote = zygote_of(container)
    container.process.kill()
    eventually("nothing is left", lambda: not any(alive(pid) for pid in [*seen.payload["pids"], zygote.pid]))


HURRIES = """
import signal, sys
from st2sensor.cli.__main__ import PROGRAMS
from st2sensor.container.launch import zygote_client as zygote
from st2sensor.system.lazy import resolve

def change(*_):
    zygote.FORK_TIMEOUT = 0.3 if zygote.FORK_TIMEOUT == usual else usual
    print("a fork may take", zygote.FORK_TIMEOUT, flush=True)

usual = zygote.FORK_TIMEOUT
signal.signal(signal.SIGUSR2, change)
# Before them are the interpreter, -m and the module.
name, *arguments = sys.argv[4:]
sys.exit(resolve(PROGRAMS[name])(arguments))
"""
"""A container whose deadline for forks is short from one SIGUSR2 to the next."""


def test_a_zygote_that_hangs_is_replaced(embedded: Workspace) -> None:
    embedded.configure(AT_ONCE)
    embedded.add_sensor("s", "Other", SLEEPER.format(name="Other"), trigger_types=UP)
    embedded.reload_well()
    listener = embedded.listen()
    container = embedded.start(prefix=[sys.executable, "-c", HURRIES])
    listener.wait_for("s.up")
    zygote_of(container).suspend()
    container.process.send_signal(signal.SIGUSR2)
    container.wait_for_log("a fork may take 0.3")
    container.wrappers()["s.Other"].kill()
    container.wait_for_log("did not answer within 0.3 s: killed")
    container.process.send_signal(signal.SIGUSR2)
    listener.wait_for("s.up", 2)


def test_a_process_that_lost_its_parent_is_collected(embedded: Workspace) -> None:
    embedded.add_sensor(
        "s",
        "Orphaning",
        """
        import subprocess, time

        class Orphaning(Sensor):
            def run(self):
                done = subprocess.run(["sh", "-c", "sleep 0.2 & echo $!"], stdout=subprocess.PIPE, text=True)
                self.sensor_service.dispatch("s.up", {"pid": int(done.stdout)})
                time.sleep(1000)
        """,
        trigger_types=UP,
    )
    embedded.reload_well()
    listener = embedded.listen()
    embedded.start()
    (seen,) = listener.wait_for("s.up")
    eventually("it is gone, and no zombie", lambda: not psutil.pid_exists(seen.payload["pid"]))


def test_modules_that_most_sensors_import_are_shared_but_random_numbers_are_not(embedded: Workspace) -> None:
    code = """
        import sys
        FOUND = sorted(set(sys.modules) & {{"asyncio", "json", "random", "ssl", "tempfile", "urllib.request"}})
        import random, ssl, tempfile, uuid

        class {name}(Sensor):
            def run(self):
                numbers = [random.random(), ssl.RAND_bytes(8).hex(), str(uuid.uuid4()), tempfile.mktemp()]
                self.sensor_service.dispatch("s.up", {{"found": FOUND, "numbers": numbers}})
        """
    for name in ("One", "Other"):
        embedded.add_sensor("s", name, code.format(name=name), trigger_types=UP)
    embedded.reload_well()
    listener = embedded.listen()
    embedded.start()
    one, other = (message.payload for message in listener.wait_for("s.up", 2)[:2])
    assert one["found"] == other["found"] == ["json", "random", "ssl", "tempfile", "urllib.request"]
    assert not set(one["numbers"]) & set(other["numbers"])


def test_titles_tell_the_sensor(embedded: Workspace) -> None:
    embedded.warnings = "default"
    embedded.add_sensor("s", "Other", SLEEPER.format(name="Other"), trigger_types=UP)
    embedded.add_sensor("s", "Green", "import eventlet\n" + SLEEPER.format(name="Green"), trigger_types=UP)
    embedded.reload_well()
    listener = embedded.listen()
    container = embedded.start()
    listener.wait_for("s.up", 2)
    for ref, process in container.wrappers().items():
        assert Path(f"/proc/{process.pid}/cmdline").read_bytes() == f"st2sensor: {ref}\0".encode()
        assert process.name() == ref.removeprefix("s.")
    assert len(container.wrappers()) == 2


@pytest.mark.soak
def test_no_moment_of_a_zygotes_death_loses_a_sensor(embedded: Workspace) -> None:
    embedded.configure(AT_ONCE)
    names = [f"Mayfly{number}" for number in range(6)]
    for name in names:
        embedded.add_sensor("s", name, f"class {name}(Sensor):\n    def run(self):\n        raise SystemExit(3)\n")
    embedded.reload_well()
    container = embedded.start()
    for number in range(8):
        container.wait_for_log("starts again in", 12 * (number + 1), timeout=LATER)
        eventually("a zygote", container.zygotes)[0].kill()
    before = {name: container.log.count(f"s.{name} ended with") for name in names}
    for name in names:
        container.wait_for_log(f"s.{name} ended with", before[name] + 3)
    assert "finished with" not in container.log


@pytest.mark.soak
def test_a_wrapper_that_is_faster_than_the_news_of_it_is_not_refused(embedded: Workspace) -> None:
    embedded.configure(AT_ONCE)
    for number in range(20):
        embedded.add_sensor("s", f"Other{number}", SLEEPER.format(name=f"Other{number}"), trigger_types=UP)
    embedded.reload_well()
    listener = embedded.listen()
    container = embedded.start()
    process = psutil.Process(container.process.pid)
    for number in range(1, 4):
        listener.wait_for("s.up", 20 * number)
        zygote = zygote_of(container)
        zygote.suspend()
        for wrapper in container.wrappers().values():
            wrapper.kill()
        container.wait_for_log("starts again in", 20 * number)
        process.suspend()
        before = connections(embedded)
        zygote.resume()
        eventually(
            "wrappers wait for a container that cannot know of them", partial(is_joined, embedded, process, before)
        )
        process.resume()
    listener.wait_for("s.up", 80)
    assert "exit code" not in container.log


def connections(workspace: Workspace) -> int:
    """Those of wrappers to their container, whether it has noticed them or not."""
    return Path("/proc/net/unix").read_text().count(f"{workspace.state}/wrapper.sock")


def is_joined(workspace: Workspace, container: psutil.Process, before: int) -> bool:
    """Whether wrappers have connected to a container that is suspended. If not, it may have yet to ask for them."""
    if connections(workspace) > before:
        return True
    container.resume()
    container.suspend()
    return False


@pytest.mark.skipif(os.geteuid() != 0, reason="only root sees the files of a container: run the tests as root")
def test_without_file_descriptors_it_waits_for_them_in_peace(embedded: Workspace) -> None:
    embedded.configure("restart_delay = 0.1\nrestart_delay_max = 0.2\nrestart_jitter = 0")
    embedded.add_sensor("s", "First", SLEEPER.format(name="First"), trigger_types=UP)
    embedded.reload_well()
    listener = embedded.listen()
    container = embedded.start()
    listener.wait_for("s.up")
    process = psutil.Process(container.process.pid)
    before = process.rlimit(resource.RLIMIT_NOFILE)
    process.rlimit(resource.RLIMIT_NOFILE, (process.num_fds() + 6, before[1]))
    for number in range(10):
        embedded.add_sensor("s", f"Other{number}", SLEEPER.format(name=f"Other{number}"), trigger_types=UP)
    embedded.reload_well()
    container.process.send_signal(signal.SIGHUP)
    container.wait_for_log("Too many open files", 50)
    # It waits, rather than tries all the time.
    rest(process)
    for number in range(10):
        moments = attempts(container.log, f"s.Other{number}")
        assert all(second - first >= timedelta(seconds=0.09) for first, second in pairwise(moments))
    process.rlimit(resource.RLIMIT_NOFILE, before)
    eventually("all run", lambda: len(container.wrappers()) == 11)
    assert container.stop() == 0


def attempts(log: str, ref: str) -> list[datetime]:
    """When a sensor could not be started for want of file descriptors."""
    lines = [line for line in log.splitlines() if f"{ref} cannot be started" in line and "Too many open files" in line]
    return [moment_of(line) for line in lines]


# Interpreters.


def test_a_packs_virtualenv_is_what_its_sensor_runs_in(embedded: Workspace) -> None:
    embedded.add_sensor(
        "s",
        "Looking",
        """
        import multiprocessing, os, subprocess, sys, sysconfig, time
        import only_in_s

        def double(number):
            return [2 * number, sys.prefix]

        class Looking(Sensor):
            def run(self):
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    spawned = pool.apply(double, (21,))
                self.sensor_service.dispatch("s.up", {
                    "prefix": sys.prefix,
                    "executable": sys.executable,
                    "purelib": sysconfig.get_path("purelib"),
                    "module": only_in_s.__file__,
                    "which": subprocess.check_output(["sh", "-c", "command -v python"], text=True).strip(),
                    "spawned": spawned,
                    "path": sys.path,
                })
                time.sleep(1000)
        """,
        trigger_types=UP,
    )
    for name, symlinks in (("s", True), ("copied", False)):
        venv.create(embedded.folder / "virtualenvs" / name, symlinks=symlinks)
    home = embedded.folder / "virtualenvs" / "s"
    packages = home / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    (packages / "more").mkdir()
    (packages / "more.pth").write_text("more\n")
    (packages / "more" / "only_in_s.py").write_text("")
    embedded.add_sensor("copied", "Copied", SLEEPER.format(name="Copied"), trigger_types=UP)
    embedded.add_sensor("none", "None_", SLEEPER.format(name="None_"), trigger_types=UP)
    embedded.reload_well()
    listener = embedded.listen()
    container = embedded.start()
    listener.wait_for("s.up", 3)
    (seen,) = [item.payload for item in listener.of("s.up") if "prefix" in item.payload]
    assert seen["prefix"] == str(home)
    assert seen["executable"] == seen["which"] == str(home / "bin" / "python")
    assert seen["purelib"] == str(packages)
    assert seen["module"] == str(packages / "more" / "only_in_s.py")
    assert seen["spawned"] == [42, str(home)]
    # Its own packages, with what their .pth files add, and nothing of the container's before them.
    folders = [path for path in seen["path"] if "site-packages" in path]
    assert folders[:2] == [str(packages), str(packages / "more")]
    # One zygote for those without a virtualenv, one for all virtualenvs of this Python; a copy is executed.
    assert len(container.zygotes()) == 2
    assert Path(container.wrappers()["copied.Copied"].exe()).is_relative_to(embedded.folder)


def test_wrappers_run_in_every_python_that_packs_use(embedded: Workspace) -> None:
    embedded.configure(PATIENT)
    found = {version: path for version in range(9, 14) if (path := interpreter(f"python3.{version}"))}
    if not found:
        pytest.skip("no python3.9 to python3.13 on PATH: install one, as by pyenv or uv, with its venv module")
    for version, path in found.items():
        subprocess.run(
            [path, "-m", "venv", "--without-pip", embedded.folder / "virtualenvs" / f"p{version}"], check=True
        )
        code = SLEEPER.format(name="Other").replace('"name"', '"version": __import__("sys").version_info[1], "name"')
        embedded.add_sensor(f"p{version}", "Other", code)
    embedded.add_sensor("s", "Up", "class Up(Sensor):\n    pass\n", trigger_types=UP)
    embedded.reload_well()
    listener = embedded.listen()
    container = embedded.start()
    assert {item.payload["version"] for item in listener.wait_for("s.up", len(found))} == set(found)
    assert container.stop() == 0
    assert container.log.count("cleaned up") == len(found)


def interpreter(name: str) -> str | None:
    """An interpreter that runs; some are named by a shim that does not."""
    try:
        done = subprocess.run([name, "-c", "import sys, venv; print(sys.executable)"], capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() or None


# Hangs.


HANGS = {
    "start_timeout": (
        "Import",
        "import time\ntime.sleep({wait})\nclass Import(Sensor):\n    pass\n",
        "the way to setup()",
    ),
    "setup_timeout": (
        "Setup",
        "import time\nclass Setup(Sensor):\n    def setup(self):\n        time.sleep(1000)\n",
        "setup()",
    ),
    "poll_timeout": (
        "Poll",
        "import time\nclass Poll(PollingSensor):\n    def poll(self):\n        time.sleep(1000)\n",
        "poll()",
    ),
    "trigger_timeout": (
        "Add",
        "import time\nclass Add(Sensor):\n    def run(self):\n        time.sleep(1000)\n"
        "    def add_trigger(self, trigger):\n        time.sleep(1000)\n",
        "add_trigger()",
    ),
}


@pytest.mark.parametrize("timeout", HANGS)
def test_a_sensor_that_hangs_shows_where_and_is_restarted(embedded: Workspace, timeout: str) -> None:
    name, code, what = HANGS[timeout]
    marker = embedded.folder / "slow"
    # While it is registered, importing it does not hang.
    wait = f"1000 if __import__('os').path.exists('{marker}') else 0"
    path = embedded.add_sensor("s", name, code.format(wait=wait), trigger_types=UP)
    embedded.add_rule("s", "asks", "s.up", x=1)
    embedded.configure(AT_ONCE)
    override(embedded, "s", **{timeout: 0.7})
    embedded.reload_well()
    marker.touch()
    container = embedded.start()
    container.wait_for_log(f"s.{name}: {what} has taken more than 0.7 s; the stacks of its threads follow:")
    container.wait_for_log(f"s.{name} was stopped because {what} took more than 0.7 s, starts again in")
    container.wait_for_log(f"s.{name} started", 2)
    # On a slow machine not at the first time: it may have been stopped on its way.
    eventually(
        "a stack", lambda: re.search(rf'File "{path}", line \d+ in (poll|setup|add_trigger|<module>)', container.log)
    )


def test_a_sensor_that_failed_and_hangs_in_cleanup_is_killed_and_restarted(embedded: Workspace) -> None:
    embedded.configure(f"stop_timeout = 0.5\n{AT_ONCE}")
    code = """
    import time

    class Hangs(Sensor):
        def run(self):
            raise RuntimeError("no luck")
        def cleanup(self):
            time.sleep(1000)
    """
    embedded.add_sensor("s", "Hangs", code)
    embedded.reload_well()
    container = embedded.start()
    container.wait_for_log("s.Hangs: cleanup() has taken more than 0.5 s; the stacks of its threads follow:")
    container.wait_for_log("s.Hangs was stopped because cleanup() took more than 0.5 s, starts again in")
    container.wait_for_log("s.Hangs started", 2)
    container.wait_for_log("RuntimeError: no luck")


def test_a_stack_is_shown_whatever_else_is_printed(embedded: Workspace) -> None:
    embedded.configure(f"setup_timeout = 0.5\noutput_rate = 5\n{AT_ONCE}")
    code = "class Floods(Sensor):\n    def setup(self):\n        while True:\n            print('flood')\n"
    path = embedded.add_sensor("s", "Floods", code)
    embedded.reload_well()
    container = embedded.start()
    container.wait_for_log("s.Floods was stopped because setup() took more than 0.5 s")
    container.wait_for_log(f'File "{path}", line')


def test_a_loop_that_holds_the_interpreter_shows_where_and_is_killed(embedded: Workspace) -> None:
    embedded.configure(f"setup_timeout = 0.5\nstop_timeout = 0.5\n{AT_ONCE}")
    path = embedded.add_sensor("s", "Adds", "class Adds(Sensor):\n    def setup(self):\n        sum(range(10**13))\n")
    embedded.reload_well()
    container = embedded.start()
    container.wait_for_log("s.Adds did not stop within 0.5 s: killed")
    container.wait_for_log("s.Adds was stopped because setup() took more than 0.5 s, starts again in")
    container.wait_for_log(f'File "{path}", line')


def test_a_poll_may_take_longer_than_setup(embedded: Workspace) -> None:
    code = """
    import time

    class Slow(PollingSensor):
        polls = 0
        def poll(self):
            self.polls += 1
            if self.polls == 1:
                time.sleep(2.5)
            self.sensor_service.dispatch("s.up", {})
    """
    embedded.add_sensor("s", "Slow", code, trigger_types=UP, poll_interval=0.1)
    override(embedded, "s", poll_timeout=LATER, setup_timeout=2)
    embedded.reload_well()
    listener = embedded.listen()
    container = embedded.start()
    listener.wait_for("s.up", 3)
    assert "taken more than" not in container.log
    assert container.log.count("s.Slow started") == 1


# Stopping.


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("Ignores", "signal.signal(signal.SIGTERM, signal.SIG_IGN)"),
        ("Replaces", "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))"),
        ("Swallows", "signal.signal(signal.SIGTERM, lambda *_: None)"),
        ("Computes", "while True: pass"),
        ("Calls", "while True: sum(range(10**7))"),
        ("Sleeps", "pass"),
        ("Selects", "select.select([], [], [])"),
        ("Joins", "threading.Thread(target=time.sleep, args=(1000,)).start(); [t.join() for t in others()]"),
        ("Runs", "asyncio.run(asyncio.sleep(1000))"),
    ],
)
def test_cleanup_is_called_in_whatever_a_sensor_does(embedded: Workspace, name: str, body: str) -> None:
    code = f"""
    import asyncio, select, signal, sys, threading, time

    def others():
        return [thread for thread in threading.enumerate() if thread is not threading.main_thread()]

    class {name}(Sensor):
        def run(self):
            self.sensor_service.dispatch("s.up", {{}})
            {body}
            while True:
                time.sleep(1000)
        def cleanup(self):
            print("cleaned up in", threading.current_thread().name)
    """
    embedded.configure(PATIENT)
    embedded.add_sensor("s", name, code, trigger_types=UP)
    embedded.reload_well()
    listener = embedded.listen()
    container = embedded.start()
    listener.wait_for("s.up")
    assert container.stop() == 0
    assert "cleaned up in MainThread" in container.log
    assert "killed" not in container.log


@pytest.mark.soak
def test_a_changed_mass_of_sensors_restarts_in_turns(embedded: Workspace) -> None:
    embedded.configure(f"changes_at_once = 2\n{PATIENT}")
    for number in range(6):
        code = SLEEPER.format(name=f"Other{number}").replace('print("cleaned up")', "time.sleep(0.2)")
        embedded.add_sensor("s", f"Other{number}", code, trigger_types=UP)
    embedded.reload_well()
    listener = embedded.listen()
    container = embedded.start()
    listener.wait_for("s.up", 6)
    (embedded.folder / "configs").mkdir()
    (embedded.folder / "configs" / "s.yaml").write_text("changed: true\n")
    embedded.reload_well()
    listener.wait_for("s.up", 12)
    down = most = 0
    for line in container.log.split("started", 6)[-1].splitlines():
        down += line.endswith(" stopped") - (" started, pid" in line)
        most = max(most, down)
    assert 1 <= most <= 2


# Restarts.


def test_a_sensor_killed_twenty_times_in_a_row_still_comes_back(embedded: Workspace) -> None:
    embedded.configure(f"{AT_ONCE}healthy_after = 3600\n")
    embedded.add_sensor("s", "Other", SLEEPER.format(name="Other"), trigger_types=UP)
    embedded.reload_well()
    listener = embedded.listen()
    container = embedded.start()
    for number in range(20):
        listener.wait_for("s.up", number + 1)
        container.wrappers()["s.Other"].kill()
    listener.wait_for("s.up", 21)
    assert container.log.count("s.Other ended with signal SIGKILL, starts again in") == 20
    assert container.log.count("s.Other keeps failing: 3 times in a row") == 1


def test_an_interpreter_that_is_not_there_is_told_and_tried_again(embedded: Workspace) -> None:
    embedded.configure("restart_delay = 0.1\nrestart_delay_max = 0.1")
    embedded.add_sensor("s", "Other", SLEEPER.format(name="Other"), trigger_types=UP)
    home = embedded.folder / "virtualenvs" / "s"
    venv.create(home, symlinks=False)
    embedded.reload_well()
    (home / "bin" / "python").rename(home / "bin" / "away")
    (home / "bin" / "python").write_text("#!/no/such/interpreter\n")
    (home / "bin" / "python").chmod(0o755)
    listener = embedded.listen()
    container = embedded.start()
    container.wait_for_log("exit code 127 (cannot start s.Other with", 3)
    (home / "bin" / "away").rename(home / "bin" / "python")
    listener.wait_for("s.up")


# Limits.


def test_a_sensor_that_uses_too_much_memory_is_killed_with_the_reason(embedded: Workspace) -> None:
    code = """
    import subprocess, sys, time

    class Eater(Sensor):
        def run(self):
            subprocess.run([sys.executable, "-c", "x = bytearray(100_000_000); input()"], stdin=subprocess.PIPE)
            code = "import time; x = b'x' * 100_000_000; time.sleep(1000)"
            subprocess.run([sys.executable, "-c", code])
    """
    embedded.add_sensor("s", "Eater", code)
    override(embedded, "s", memory="60M")
    embedded.reload_well()
    container = embedded.start()
    container.wait_for_log("more than its 60 MB, starts again in")
    assert re.search(r"s.Eater was killed because it used \d+ MB of memory", container.log)


def test_open_files_and_niceness_are_limited(embedded: Workspace) -> None:
    code = """
    import os, resource

    class Limited(Sensor):
        def run(self):
            files = resource.getrlimit(resource.RLIMIT_NOFILE)
            self.sensor_service.dispatch("s.up", {"files": list(files), "nice": os.getpriority(os.PRIO_PROCESS, 0)})
    """
    for pack in ("s", "free"):
        embedded.add_sensor(pack, "Limited", code, trigger_types=UP)
    override(embedded, "s", open_files=123, nice=7)
    embedded.reload_well()
    listener = embedded.listen()
    embedded.start()
    seen = sorted((item.payload["files"], item.payload["nice"]) for item in listener.wait_for("s.up", 2))
    free = (
        [*resource.getrlimit(resource.RLIMIT_NOFILE)],
        os.getpriority(os.PRIO_PROCESS, 0),
    )
    assert ([123, 123], min(19, free[1] + 7)) in seen
    assert free in seen


def test_a_sensor_runs_as_another_user_and_cannot_read_what_is_the_containers(embedded: Workspace) -> None:
    if os.geteuid() != 0:
        missing("only root starts processes of other users: run the tests as root")
    # It imports nothing that is not there yet: the interpreter that runs the tests may be root's alone.
    code = f"""
    import os, time

    class Nobody(Sensor):
        def run(self):
            try:
                read = os.open("{embedded.state}/outbox.db", os.O_RDONLY)
            except PermissionError:
                read = None
            user = {{"uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(), "home": os.environ["HOME"]}}
            self.sensor_service.dispatch("s.up", {{"read": read, **user}})
            if os.fork() == 0:
                self.sensor_service.dispatch("s.up", {{"forked": True}})
                os._exit(0)
            time.sleep(1000)
        def cleanup(self):
            print("cleaned up")
    """
    embedded.add_sensor("s", "Nobody", code, trigger_types=UP)
    override(embedded, "s", run_as="nobody")
    embedded.folder.chmod(0o711)
    embedded.reload_well()
    listener = embedded.listen()
    container = embedded.start()
    first, second = (item.payload for item in listener.wait_for("s.up", 2))
    nobody = pwd.getpwnam("nobody")
    assert first["read"] is None
    assert (first["uid"], first["gid"], first["home"]) == (nobody.pw_uid, nobody.pw_gid, nobody.pw_dir)
    assert 0 not in first["groups"]
    assert second == {"forked": True}
    # The kernel forgets the death signal at a change of user: it is armed after that.
    (wrapper,) = container.wrappers().values()
    container.zygotes()[0].kill()
    container.process.kill()
    eventually("it is gone", lambda: not alive(wrapper.pid))


def test_an_override_that_cannot_be_had_stops_that_sensor_alone(embedded: Workspace) -> None:
    embedded.add_sensor("s", "Other", SLEEPER.format(name="Other"), trigger_types=UP)
    embedded.add_sensor("t", "Next", SLEEPER.format(name="Next"))
    override(embedded, "s", run_as="nobody-at-all")
    embedded.reload_well()
    listener = embedded.listen()
    container = embedded.start()
    container.wait_for_log("s.Other cannot be started: run_as = nobody-at-all: there is no such user on this host")
    assert listener.wait_for("s.up")[0].payload == {"name": "Next"}


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A control group that is delegated as systemd does it, to run containers in."""
    if os.geteuid() != 0:
        missing("only root makes control groups: run the tests as root")
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    mount = next((fields[1] for fields in mounts if fields[2] == "cgroup2"), None)
    if mount is None or not os.access(mount, os.W_OK):
        pytest.skip("no control groups of version 2 that can be written to: mount cgroup2, read and write")
    path = Path(mount) / f"st2sensor-test-{uuid.uuid4().hex[:8]}"
    path.mkdir()
    os.setxattr(path, "user.delegate", b"1")
    yield path
    (path / "cgroup.kill").write_text("1")
    eventually("the group is empty", lambda: "populated 0" in (path / "cgroup.events").read_text())
    for group in (*filter(Path.is_dir, path.iterdir()), path):
        group.rmdir()


ESCAPES = """
import subprocess, time

class Escapes(Sensor):
    def run(self):
        child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        with open("/proc/self/cgroup") as file:
            groups = file.read()
        self.sensor_service.dispatch("s.up", {"pid": child.pid, "groups": groups})
        time.sleep(1000)
"""


@pytest.mark.parametrize("killed", [False, True])
def test_in_a_delegated_control_group_nothing_gets_away(embedded: Workspace, cgroup: Path, killed: bool) -> None:
    embedded.configure(AT_ONCE)
    embedded.add_sensor("s", "Escapes", ESCAPES, trigger_types=UP)
    embedded.reload_well()
    listener = embedded.listen()
    container = embedded.start(within=cgroup)
    (first,) = listener.wait_for("s.up")
    assert f"/{cgroup.name}/sensor-{container.process.pid}-s.Escapes-" in first.payload["groups"]
    container.wrappers()["s.Escapes"].kill()
    eventually("its child is gone", lambda: not alive(first.payload["pid"]))
    second = listener.wait_for("s.up", 2)[1]
    eventually("only its new group is left", lambda: len(list(cgroup.glob("sensor-*"))) == 1)
    if killed:
        container.process.kill()
    else:
        assert container.stop() == 0
    eventually("its child is gone", lambda: not alive(second.payload["pid"]))
    if killed:
        container = embedded.start(within=cgroup)
        # Not by its trigger: the last one may come again.
        eventually("it runs again", container.wrappers)
        assert container.stop() == 0
    eventually("no group is left", lambda: not list(cgroup.glob("sensor-*")))


# Output.


def test_a_flood_is_rate_limited_with_a_count_and_harms_nobody(embedded: Workspace) -> None:
    embedded.configure("output_rate = 20")
    code = "class {0}(Sensor):\n    def run(self):\n        while True:\n            {1}\n"
    embedded.add_sensor("s", "Prints", code.format("Prints", "print('flood')"))
    embedded.add_sensor("s", "Logs", code.format("Logs", "self.sensor_service.get_logger('x').info('flood')"))
    embedded.add_sensor(
        "s",
        "Next",
        "class Next(PollingSensor):\n    def poll(self):\n        self.sensor_service.dispatch('s.up', {})\n",
        trigger_types=UP,
        poll_interval=0.1,
    )
    embedded.reload_well()
    listener = embedded.listen()
    container = embedded.start()
    for name in ("s.Prints: flood", "s.Logs.x: flood"):
        # All of its burst, which is ten seconds' worth, and more.
        container.wait_for_log(name, 201)
    count = len(listener.of("s.up"))
    listener.wait_for("s.up", count + 10)
    assert container.stop() == 0
    for ref, name in (("s.Prints", "s.Prints: flood"), ("s.Logs", "s.Logs.x: flood")):
        dropped = re.findall(rf"WARNING {ref}: (\d+) lines were dropped: more than 20 a second", container.log)
        lines = [line for line in container.log.splitlines() if line.endswith(name)]
        first, last = moment_of(lines[0]), moment_of(lines[-1])
        assert sum(map(int, dropped)) > 0
        # By the clock of the log: its first line may be a little older than it says.
        assert len(lines) <= 200 + 20 * ((last - first).total_seconds() + 1)


def moment_of(line: str) -> datetime:
    """When a line was logged."""
    return datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f")


def test_output_is_tagged_and_whole_and_keeps_level_and_traceback(embedded: Workspace) -> None:
    code = r"""
    import logging, os, sys, threading, time

    class Talks(Sensor):
        def run(self):
            os.write(1, b"in ")
            time.sleep(0.2)
            os.write(1, b"one piece\n")
            os.write(2, b"\xff\xfe binary \x00\n")
            logger = self.sensor_service.get_logger("mine")
            logger.warning("two\nlines")
            logging.getLogger("some.library").error("of a library")
            try:
                1 / 0
            except ZeroDivisionError:
                logger.exception("divided")
            thread = threading.Thread(target=lambda: {}["missing"], name="worker")
            thread.start()
            thread.join()
            sys.stdout.write("no newline at the end")
            sys.exit(4)
    """
    embedded.add_sensor("s", "Talks", code)
    embedded.reload_well()
    container = embedded.start()
    container.wait_for_log("s.Talks ended with exit code 4 (the sensor failed: it called exit() at ")
    for line in (
        "INFO    s.Talks: in one piece\n",
        "INFO    s.Talks: \ufffd\ufffd binary",
        "WARNING s.Talks.mine: two\nlines\n",
        "ERROR   s.Talks.some.library: of a library\n",
        "ERROR   s.Talks.mine: divided\nTraceback (most recent call last):",
        "ZeroDivisionError: division by zero\n",
        "ERROR   s.Talks: thread worker failed\nTraceback",
        "INFO    s.Talks: no newline at the end\n",
    ):
        assert line in container.log


def test_a_sensors_last_words_are_kept(embedded: Workspace) -> None:
    embedded.configure("output_rate = 0")
    code = """
    class Talks(Sensor):
        def run(self):
            logger = self.sensor_service.get_logger("x")
            for number in range(2000):
                logger.info("word %d", number)
            raise RuntimeError("the last")
    """
    embedded.add_sensor("s", "Talks", code)
    embedded.reload_well()
    container = embedded.start()
    container.wait_for_log("s.Talks ended with exit code 1 (RuntimeError: the last), starts again in")
    assert container.log.count(" word ") >= 2000
    assert 'raise RuntimeError("the last")' in container.log


def test_the_level_of_a_sensors_log_reaches_one_that_never_leaves_setup(embedded: Workspace) -> None:
    code = """
    import time

    class Loops(Sensor):
        def setup(self):
            while True:
                self.sensor_service.get_logger("x").debug("details")
                self.sensor_service.get_logger("x").info("news")
                time.sleep(0.1)
    """
    embedded.add_sensor("s", "Loops", code)
    embedded.reload_well()
    container = embedded.start()
    container.wait_for_log("s.Loops.x: news", 3)
    override(embedded, "s", log_level="DEBUG")
    embedded.reload_well()
    container.wait_for_log("s.Loops.x: details", 3)


def test_the_level_of_a_sensors_log_changes_while_it_runs(embedded: Workspace) -> None:
    code = """
    class {0}(PollingSensor):
        def poll(self):
            self.sensor_service.get_logger("x").debug("details")
            self.sensor_service.get_logger("x").info("news")
    """
    for name in ("Chatty", "Quiet"):
        embedded.add_sensor(name.lower(), name, code.format(name), poll_interval=0.05)
    embedded.reload_well()
    container = embedded.start()
    container.wait_for_log("quiet.Quiet.x: news", 3)
    container.wait_for_log("chatty.Chatty.x: news", 3)
    assert "details" not in container.log
    override(embedded, "chatty", log_level="DEBUG")
    embedded.reload_well()
    container.wait_for_log("DEBUG   chatty.Chatty.x: details", 3)
    assert "quiet.Quiet.x: details" not in container.log
    override(embedded, "chatty", log_level="ERROR")
    # The reload is heeded once this one runs.
    embedded.add_sensor("new", "New", "class New(Sensor):\n    pass\n")
    embedded.reload_well()
    container.wait_for_log("new.New started")
    silent, count = (container.log.count(name) for name in ("chatty.Chatty.x", "quiet.Quiet.x"))
    container.wait_for_log("quiet.Quiet.x: news", count + 10)
    assert container.log.count("chatty.Chatty.x") == silent
    assert container.log.count("chatty.Chatty started, pid") == container.log.count("quiet.Quiet started, pid") == 1


# eventlet.


GREEN = """
import socket, threading, time

class {name}(Sensor):
    def setup(self):
        from eventlet.patcher import is_monkey_patched
        self.patched = is_monkey_patched("socket")
    def run(self):
        self.sensor_service.dispatch("s.up", {{"name": "{name}", "patched": self.patched}})
        time.sleep(1000)
    def cleanup(self):
        print("cleaned up")
"""


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", {"Plain": False, "Direct": True, "Nested": True}),
        pytest.param("always", {"Plain": True, "Direct": True, "Nested": True}, marks=pytest.mark.soak),
        pytest.param("never", {"Plain": False, "Direct": False, "Nested": False}, marks=pytest.mark.soak),
    ],
)
def test_eventlet_patches_first_where_it_is_wanted(embedded: Workspace, choice: str, expected: dict[str, bool]) -> None:
    embedded.warnings = "default"
    embedded.configure(f"eventlet = {choice}\n{PATIENT}")
    # The import inside setup() counts for the analysis: the plain one hides it.
    hidden = GREEN.replace(
        "from eventlet.patcher import is_monkey_patched",
        "name = 'event' + 'let.patcher'; is_monkey_patched = __import__(name, fromlist=['x']).is_monkey_patched",
    )
    embedded.add_sensor("s", "Plain", hidden.format(name="Plain"), trigger_types=UP)
    embedded.add_sensor("s", "Direct", GREEN.format(name="Direct"), trigger_types=UP)
    nested = embedded.add_sensor("n", "Nested", "from lib import helper\n" + hidden.format(name="Nested"))
    (nested.parent / "lib").mkdir()
    (nested.parent / "lib" / "__init__.py").write_text("")
    (nested.parent / "lib" / "helper.py").write_text("def later():\n    from . import deep\n")
    (nested.parent / "lib" / "deep.py").write_text("import eventlet.green.socket\n")
    embedded.reload_well()
    listener = embedded.listen()
    container = embedded.start()
    seen = {item.payload["name"]: item.payload["patched"] for item in listener.wait_for("s.up", 3)}
    assert seen == expected
    assert container.stop() == 0
    assert container.log.count("cleaned up") == 3


def test_a_patched_sensor_works_with_green_threads_and_native_ones(embedded: Workspace) -> None:
    embedded.warnings = "default"
    embedded.configure(PATIENT)
    code = """
    import eventlet
    from eventlet import patcher
    eventlet.monkey_patch()
    import ssl, urllib.request

    class Green(Sensor):
        def setup(self):
            self.pool = eventlet.GreenPool()
        def run(self):
            for number in range(50):
                self.pool.spawn(self.send, number)
            self.pool.waitall()
            native = patcher.original("threading")
            threads = [native.Thread(target=self.send, args=(100 + number,)) for number in range(4)]
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                eventlet.sleep(0.01)
            eventlet.sleep(1000)
        def send(self, number):
            for _ in range(5):
                self.sensor_service.dispatch("s.up", {"number": number})
                self.sensor_service.set_value("last", number)
        def add_trigger(self, trigger):
            print("told of", trigger["ref"])
        def cleanup(self):
            eventlet.sleep(0.1)
            print("cleaned up")
    """
    embedded.add_sensor("s", "Green", code, trigger_types=[{"name": "up"}, {"name": "asked"}])
    embedded.reload_well()
    listener = embedded.listen()
    container = embedded.start()
    listener.wait_for("s.up", 270, timeout=LATER)
    assert len({item.payload["number"] for item in listener.of("s.up")}) == 54
    container.wait_for_log("told of s.up")
    assert container.stop() == 0
    assert "cleaned up" in container.log
    assert "Traceback" not in container.log


def test_a_record_of_any_length_takes_a_bounded_line(embedded: Workspace) -> None:
    code = """
    class Long(Sensor):
        def run(self):
            log = self.sensor_service.get_logger("x")
            log.error("begins here " + "z" * 30_000_000 + " ends here")
            print("printed", "y" * 100_000)
            raise ValueError("w" * 30_000_000 + " is too long")
    """
    embedded.configure("restart_delay = 100000\nrestart_delay_max = 100000\n")
    embedded.add_sensor("s", "Long", code)
    embedded.reload_well()
    container = embedded.start()
    container.wait_for_log("starts again in")
    log = container.log
    assert "begins here" in log
    assert "ends here" in log
    assert "is too long" in log
    assert log.count("characters are left out") == 2
    assert max(map(len, log.splitlines())) < 70_000
    done = embedded.run("st2sensor", "--config-file", str(embedded.config), "list")
    assert done.returncode == 0
