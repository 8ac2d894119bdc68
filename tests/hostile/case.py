"""One hostile thing: how it gets there, what it does, and what is said about it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from tests.plugins.patience import LATER
from tests.support.servers.waiting import eventually
from tests.support.workspace import Container, Workspace

REF = "hostile.Hostile"

SECRET = "s3cr3t-in-a-payload"
"""What hostile payloads hold: no output may quote it."""

ANYTHING = ""
"""Said about what is wrong with nothing but itself."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """:param code: of the class Hostile; empty where no sensor is hostile.
    :param schema: of the trigger type hostile.event.
    :param metadata: more of the sensor's; :param overrides: an operator's.
    :param before: done before the packs are registered; :param act: done while all runs.
    :param config: lines of [sensorcontainer], which may open other sections.
    :param said: a pattern found in what the registration, `list`, `show`, `dead-letters list` or the log say.
    :param quick: whether make test runs it.
    """

    name: str
    code: str = ""
    schema: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    before: Callable[[Workspace], object] = lambda _: None
    act: Callable[[Workspace, Container], object] = lambda _, __: None
    config: str = ""
    said: str = ANYTHING
    quick: bool = False

    def prepare(self, workspace: Workspace) -> None:
        workspace.configure(self.config)
        self.before(workspace)
        if self.code:
            types = [{"name": "event", "payload_schema": dict(self.schema)}]
            workspace.add_sensor("hostile", "Hostile", self.code, trigger_types=types, **self.metadata)
        if self.overrides:
            folder = workspace.folder / "overrides"
            folder.mkdir(exist_ok=True)
            (folder / "hostile.yaml").write_text(yaml.safe_dump({"st2sensor": {"defaults": dict(self.overrides)}}))

    def wait_until_said(self, workspace: Workspace, container: Container, registered: str) -> None:
        """:param registered: what the registration has printed."""
        pattern = re.compile(self.said)
        eventually(
            f"{self.said} is said",
            lambda: pattern.search(registered + container.log) or pattern.search(shown(workspace)),
            LATER,
        )


def shown(workspace: Workspace) -> str:
    """What the commands print."""
    options = ("--config-file", str(workspace.config))
    commands = (("list",), ("show", REF), ("dead-letters", "list"))
    done = [workspace.run("st2sensor", *options, *command) for command in commands]
    assert done[0].returncode == 0, done[0].stderr
    return "".join(item.stdout + item.stderr for item in done)


def polling(body: str) -> str:
    """A polling sensor's code, of one poll() per half second."""
    lines = "\n".join(f"        {line}" for line in body.strip().splitlines())
    return f"""
import os, time

class Hostile(PollingSensor):
    def setup(self):
        self.set_poll_interval(0.5)

    def poll(self):
{lines}
"""


def running(body: str, imports: str = "os, time") -> str:
    """A sensor's code, of its run()."""
    lines = "\n".join(f"        {line}" for line in body.strip("\n").splitlines())
    return f"""
import {imports}

class Hostile(Sensor):
    def run(self):
{lines}
"""


def dispatching(payload: str) -> str:
    """A sensor's code that dispatches one payload again and again."""
    return polling(f'self.sensor_service.dispatch("hostile.event", {payload})')
