"""What a scenario is played on, and what it consists of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tests.real_packs.packs import RealPack
from tests.support.servers.waiting import eventually
from tests.support.workspace import Container, Listener, Workspace

S = TypeVar("S")

PATIENCE = 30.0
"""Seconds until something must have come of a stimulus."""


class NotHere(Exception):
    """The machine lacks a server that a scenario needs. The message names it."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a scenario finds and leaves things."""

    pack: RealPack
    workspace: Workspace
    folder: Path
    """For whatever it needs; it is private and empty."""
    servers: ExitStack
    """Ends what was started, when the play is over."""

    def serve(self, server: AbstractContextManager[S]) -> S:
        """Start a server for as long as the play lasts."""
        return self.servers.enter_context(server)


@dataclass(frozen=True, slots=True)
class Running:
    """The play going on."""

    stage: Stage
    container: Container
    listener: Listener

    def arrives(self, trigger: str, count: int = 1) -> None:
        """Wait for so many instances of a trigger. Raises AssertionError."""
        self.listener.wait_for(trigger, count, PATIENCE)

    def logs(self, text: str) -> None:
        """Wait for something in the log. Raises AssertionError."""
        eventually(f"{text!r} in the log", lambda: text in self.container.log, PATIENCE)


def _nothing(running: Running) -> None:
    """Sensors that need no stimulus."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """How sensors are brought to dispatch."""

    sensors: Mapping[str, float | None]
    """Class names of those that run, and their poll intervals; None leaves the sensor its own."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Goes over a sample of what the pack's schema requires."""
    arrive: Sequence[str] = ()
    """Trigger types that must come of it."""
    logged: Sequence[str] = ()
    """What the log must say, for sensors that do not dispatch."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Of the container's environment."""
    prepare: Callable[[Workspace], None] = lambda workspace: None  # noqa: ARG005
    """Done when the pack is registered, before the sensors run."""
    stimulate: Callable[[Running], None] = _nothing
    """Done when the sensors run."""
    proves: Mapping[str, str] = field(default_factory=dict)
    """What it shows when nothing goes wrong, by class name, where that is no trigger."""
    note: str = ""


Scenario = Callable[[Stage], Play]
"""Starts servers on the stage, and says how to play. Raises NotHere."""
