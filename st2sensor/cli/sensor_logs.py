"""`st2sensor logs` and `log-level`: what a sensor says, and how much of it is heard."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import click
from rich.text import Text

from st2sensor import config
from st2sensor.cli import moments
from st2sensor.cli.completion import named_sensor
from st2sensor.cli.container import reached
from st2sensor.cli.invocation import as_json, console, examples, report
from st2sensor.cli.printable import printable
from st2sensor.errors import SensorNotFound

COLOURS = {"DEBUG": "dim", "INFO": "", "WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red"}

Line = dict[str, Any]
"""As the container keeps it: at, level and text."""

LEVELS = click.Choice(list(COLOURS), case_sensitive=False)


@click.command(epilog=examples("st2sensor logs linux.FileWatchSensor", "st2sensor logs linux.FileWatchSensor -f"))
@named_sensor
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@as_json
@click.pass_obj
def logs(config_files: tuple[str, ...], ref: str, follow: bool, json_output: bool) -> None:
    """Show the newest lines of a sensor's log, and what the container says of it.

    The container keeps the last 100; older ones are in its own log.
    """
    state_dir = config.load(config_files).container.state_dir
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


@click.command(
    "log-level",
    epilog=examples("st2sensor log-level DEBUG --sensor linux.FileWatchSensor", "st2sensor log-level INFO"),
)
@click.argument("level", type=LEVELS)
@click.option("--sensor", "ref", metavar="PACK.CLASS", help="Of this sensor alone.")
@as_json
@click.pass_obj
def log_level(config_files: tuple[str, ...], level: str, ref: str | None, json_output: bool) -> None:
    """Change what the running container logs, until it ends: this level and worse."""
    with reached(config.load(config_files).container.state_dir, ref) as container:
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
        (moments.clock(line["at"]), "dim"), " ", (f"{printable(level):<7}", COLOURS.get(level, "")), " "
    )
    console().print(text.append(printable(line["text"])), soft_wrap=True)
