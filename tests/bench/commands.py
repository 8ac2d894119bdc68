"""The cost of commands that people run often: processor time and memory of each, started alone."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass

import yaml
from rich.console import Console
from rich.table import Table

from tests.support.servers.waiting import eventually
from tests.support.workspace import Workspace, environment

TIMES = 20
"""Number of runs of each command; the lowest result counts, because it was disturbed least."""

SENSOR = """
import time

class Idle(Sensor):
    def run(self):
        self.sensor_service.dispatch("bench.event", {"n": "many"})
        time.sleep(1000)
"""
EVENT = {"name": "event", "payload_schema": {"type": "object", "properties": {"n": {"type": "integer"}}}}
RULE = {
    "name": "large",
    "enabled": True,
    "trigger": {"type": "bench.event"},
    "criteria": {"trigger.n": {"type": "regex", "pattern": "^{{ trigger.n }}s$"}},
}

CODE = """
import json, os, sys

times, variables, argv = json.loads(sys.argv[1])
null = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
costs = []
for _ in range(times):
    process = os.posix_spawn(argv[0], argv, variables, file_actions=null)
    _, status, used = os.wait4(process, 0)
    assert status == 0, (argv, os.waitstatus_to_exitcode(status))
    costs.append((used.ru_utime + used.ru_stime, used.ru_maxrss))
print(json.dumps([min(seconds for seconds, _ in costs), min(kilobytes for _, kilobytes in costs)]))
"""
"""Runs a command from a small process: until a child executes its program, its memory is counted like its parent's."""

COMPLETING = {"_ST2SENSOR_COMPLETE": "bash_complete", "COMP_WORDS": "st2sensor li", "COMP_CWORD": "1"}

HELP = (0.08, 22.0)
LOOK = (0.2, 36.0)
WHY = (1.0, 80.0)
"""Goals: seconds of processor time, and MB."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """:param cpu: seconds of user and system time; :param memory: maximum MB."""

    cpu: float
    memory: float


def report(workspace: Workspace) -> None:
    """Print a table."""
    workspace.add_sensor("bench", "Idle", SENSOR, trigger_types=[EVENT])
    (workspace.packs / "bench" / "rules" / "large.yaml").write_text(yaml.safe_dump(RULE))
    workspace.reload_well()
    workspace.start()
    configured = ("--config-file", str(workspace.config))
    running = ("st2sensor", *configured, "list", "--state", "running", "--json")
    eventually("the sensor runs", lambda: "bench.Idle" in workspace.run(*running).stdout, timeout=60)
    why = ("why", "bench.event")
    eventually("why explains", lambda: "must match" in workspace.run("st2sensor", *configured, *why).stdout, timeout=60)
    table = Table("command", "CPU", "goal", "RSS", "goal", title=f"commands, least of {TIMES} runs")
    for name, arguments, variables, goal in (
        ("python -c pass", ("-c", "pass"), {}, None),
        ("python -c 'import click'", ("-c", "import click"), {}, None),
        ("st2sensor --version", program("--version"), {}, HELP),
        ("st2sensor --help", program("--help"), {}, HELP),
        ("st2sensor list --help", program("list", "--help"), {}, HELP),
        ("completion of st2sensor li", program(), COMPLETING, HELP),
        ("st2sensor list", program(*configured, "list"), {}, LOOK),
        ("st2sensor why", program(*configured, *why), {}, WHY),
        ("st2sensor show", program(*configured, "show", "bench.Idle"), {}, LOOK),
    ):
        cost = measured([sys.executable, *arguments], variables)
        goals = ("", "") if goal is None else (f"{goal[0]:.2f} s", f"{goal[1]:.0f} MB")
        table.add_row(name, f"{cost.cpu:.3f} s", goals[0], f"{cost.memory:.1f} MB", goals[1])
    Console(width=120).print(table)


def program(*arguments: str) -> tuple[str, ...]:
    return ("-m", "st2sensor.cli", "st2sensor", *arguments)


def measured(argv: list[str], variables: dict[str, str]) -> Cost:
    order = json.dumps([TIMES, {**environment("ignore"), **variables}, argv])
    done = subprocess.run([sys.executable, "-S", "-c", CODE, order], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seconds, kilobytes = json.loads(done.stdout)
    return Cost(cpu=seconds, memory=kilobytes / 1024)
