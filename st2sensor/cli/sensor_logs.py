"""`st2sensor logs` and `log-level`: what a sensor says, and how much of it is heard."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.text import Text

from st2sensor import config
from st2sensor.cli import moments
from st2sensor.cli.completion import named_sensor
from st2sensor.cli.container import reached
from st2sensor.cli.invocation import as_json, console, examples

COLOURS = {"DEBUG": "dim", "INFO": "", "WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red"}

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
    with reached(state_dir, ref) as container:
        for line in container.call("logs", ref=ref):
            _print(line, json_output)
        if follow:
            try:
                for event in container.events(["line"], ref):
                    _print(event, json_output)
            except KeyboardInterrupt:
                return


@click.command(
    "log-level",
    epilog=examples("st2sensor log-level DEBUG --sensor linux.FileWatchSensor", "st2sensor log-level INFO"),
)
@click.argument("level", type=LEVELS)
@click.option("--sensor", "ref", metavar="PACK.CLASS", help="Of this sensor alone.")
@click.pass_obj
def log_level(config_files: tuple[str, ...], level: str, ref: str | None) -> None:
    """Change what the running container logs, until it ends: this level and worse."""
    with reached(config.load(config_files).container.state_dir, ref) as container:
        container.call("log_level", level=level, ref=ref)
    click.echo(f"{ref or 'the container'} logs {level} and worse")


def _print(line: dict[str, Any], json_output: bool) -> None:
    if json_output:
        click.echo(json.dumps({name: line[name] for name in ("at", "level", "text")}))
        return
    level = line["level"]
    text = Text.assemble((moments.clock(line["at"]), "dim"), " ", (f"{level:<7}", COLOURS.get(level, "")), " ")
    console().print(text.append(line["text"]), soft_wrap=True)
