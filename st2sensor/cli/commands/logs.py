"""`st2sensor logs` and `log-level`: what a sensor says, and how much of it is heard."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import click
from rich.text import Text

from st2sensor.cli.configuration import configured
from st2sensor.cli.inspection.control_client import reached
from st2sensor.cli.text import colours, units
from st2sensor.cli.text.console import console
from st2sensor.cli.text.outcome import report
from st2sensor.cli.text.printable import printable
from st2sensor.errors import SensorNotFound

Line = dict[str, Any]
"""As the container keeps it: at, level and text."""


def logs(config_files: Sequence[str], *, ref: str, follow: bool, json_output: bool) -> None:
    state_dir = configured(config_files).container.state_dir
    with reached(state_dir, ref) as container, suppress(KeyboardInterrupt):
        if container.call("sensor", ref=ref) is None:
            raise SensorNotFound(f"sensor {ref} is not known here; st2sensor list shows those that are")
        if not follow:
            for line in container.call("logs", ref=ref):
                _print(line, json_output)
            return
        # On a connection of its own, before the lines are asked for: so none comes between.
        with reached(state_dir, ref) as following:
            following.follow(["line"], ref)
            for line in _once(container.call("logs", ref=ref), following.events()):
                _print(line, json_output)


def log_level(config_files: Sequence[str], *, level: str, ref: str | None, json_output: bool) -> None:
    with reached(configured(config_files).container.state_dir, ref) as container:
        container.call("log_level", level=level, ref=ref)
    report(json_output, f"{ref or 'the container'} logs {level} and worse", ref=ref, level=level)


def _once(kept: Sequence[Line], events: Iterable[Line]) -> Iterator[Line]:
    """The lines that were kept, and those that come, without those that are among both."""
    told = Counter(map(_identity, kept))
    yield from kept
    for event in events:
        if told[_identity(event)] > 0:
            told[_identity(event)] -= 1
        else:
            yield event


def _identity(line: Line) -> tuple[float, str, str]:
    return line["at"], line["level"], line["text"]


def _print(line: Line, json_output: bool) -> None:
    if json_output:
        click.echo(json.dumps({name: line[name] for name in ("at", "level", "text")}))
        return
    level = line["level"]
    text = Text.assemble(
        (units.clock(line["at"]), "dim"), " ", (f"{printable(level):<7}", colours.OF_LEVELS.get(level, "")), " "
    )
    console().print(text.append(printable(line["text"])), soft_wrap=True)
