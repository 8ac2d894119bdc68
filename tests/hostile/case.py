"""One hostile case: how it is set up, what it does, and what the product reports about it."""

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
"""A value in hostile payloads, which no output may quote."""

ANYTHING = ""
"""Matches any output: no particular report is expected."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """:param code: of the class Hostile; empty where no sensor is hostile.
    :param schema: of the trigger type hostile.event.
    :param metadata: further keys of the sensor's metadata; :param overrides: the operator's overrides.
    :param before: called before the packs are registered; :param act: called while everything runs.
    :param config: lines of [sensorcontainer], which may open other sections.
    :param said: a pattern to find in the output of the registration, `list`, `show`, `dead-letters list` or the log.
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
        """:param registered: the output of the registration."""
        pattern = re.compile(self.said)
        eventually(
            f"{self.said} is said",
            lambda: pattern.search(registered + container.log) or pattern.search(shown(workspace)),
            LATER,
        )


def shown(workspace: Workspace) -> str:
    """Return the output of the commands."""
    options = ("--config-file", str(workspace.config))
    commands = (("list",), ("show", REF), ("dead-letters", "list"))
    done = [workspace.run("st2sensor", *options, *command) for command in commands]
    assert done[0].returncode == 0, done[0].stderr
    return "".join(item.stdout + item.stderr for item in done)


def polling(body: str) -> str:
    """Return the code of a polling sensor that polls twice a second."""
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
    """Return the code of a passive sensor with this body of run()."""
    lines = "\n".join(f"        {line}" for line in body.strip("\n").splitlines())
    return f"""
import {imports}

class Hostile(Sensor):
    def run(self):
{lines}
"""


def dispatching(payload: str) -> str:
    """Return the code of a sensor that keeps dispatching one payload."""
    return polling(f'self.sensor_service.dispatch("hostile.event", {payload})')
