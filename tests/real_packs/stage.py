"""The environment of a scenario, and its parts."""

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
"""Seconds within which a stimulus must have an effect."""


class NotHere(Exception):
    """The machine lacks a server that a scenario needs. The message names it."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The environment in which a scenario is prepared."""

    pack: RealPack
    workspace: Workspace
    folder: Path
    """A private, empty folder for the scenario."""
    servers: ExitStack
    """Ends everything that was started, when the play is over."""

    def serve(self, server: AbstractContextManager[S]) -> S:
        """Start a server for as long as the play lasts."""
        return self.servers.enter_context(server)


@dataclass(frozen=True, slots=True)
class Running:
    """A play that is running."""

    stage: Stage
    container: Container
    listener: Listener

    def arrives(self, trigger: str, count: int = 1) -> None:
        """Wait for a number of instances of a trigger. Raises AssertionError."""
        self.listener.wait_for(trigger, count, PATIENCE)

    def logs(self, text: str) -> None:
        """Wait for something in the log. Raises AssertionError."""
        eventually(f"{text!r} in the log", lambda: text in self.container.log, PATIENCE)


def _nothing(running: Running) -> None:
    """Do nothing: the sensors need no stimulus."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """How to make sensors dispatch."""

    sensors: Mapping[str, float | None]
    """Class names of the sensors that run, and their poll intervals; None keeps the sensor's own."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Configuration that overrides the sample made from the pack's schema."""
    arrive: Sequence[str] = ()
    """Trigger types that must arrive."""
    logged: Sequence[str] = ()
    """Texts that the log must contain, for sensors that do not dispatch."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Variables for the container's environment."""
    prepare: Callable[[Workspace], None] = lambda workspace: None  # noqa: ARG005
    """Called when the pack is registered, before the sensors run."""
    stimulate: Callable[[Running], None] = _nothing
    """Called once the sensors are running."""
    proves: Mapping[str, str] = field(default_factory=dict)
    """By class name, the proof of success of sensors that dispatch no trigger."""
    note: str = ""


Scenario = Callable[[Stage], Play]
"""Starts servers on the stage, and returns how to play. Raises NotHere."""
