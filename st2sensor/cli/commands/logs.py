"""`st2sensor logs`: show the newest log lines of a sensor, and follow new lines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import click
from rich.text import Text

from st2sensor.cli.configuration import configured
from st2sensor.cli.inspection.control_client import ControlClient, reached
from st2sensor.cli.inspection.references import sensor_named
from st2sensor.cli.inspection.reports import parsed, sensor_of
from st2sensor.cli.text import colours, units
from st2sensor.cli.text.console import console
from st2sensor.cli.text.printable import printable
from st2sensor.cli.text.progress import waiting_for
from st2sensor.errors import SensorNotFound
from st2sensor.reports.json_form import fields_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of a sensor's log.

    :param at: seconds since the epoch.
    """

    at: float
    level: str
    text: str


def logs(config_files: Sequence[str], *, ref: str, follow: bool, json_output: bool) -> None:
    """Print log lines. Raises SensorNotFound, ContainerAway, ContainerForbidden."""
    settings = configured(config_files)
    state_dir = settings.container.state_dir
    with sensor_named(settings, ref) as ref, reached(state_dir, ref) as container, suppress(KeyboardInterrupt):
        if sensor_of(container, ref) is None:
            raise SensorNotFound(f"sensor {ref} is not known here; st2sensor list shows the known ones")
        if not follow:
            for line in _kept(container, ref):
                _print(line, json_output)
            return
        # Follow on a separate connection, and before asking for the kept lines, so that no line is lost in between.
        with reached(state_dir, ref) as following:
            following.follow(["line"], ref)
            waiting_for(f"lines of {ref}")
            for line in _once(_kept(container, ref), (parsed(Line, event) for event in following.events())):
                _print(line, json_output)
            click.echo("the container has ended", err=True)


def _kept(container: ControlClient, ref: str) -> list[Line]:
    """Return the lines that the container keeps."""
    return [parsed(Line, item) for item in container.call("logs", ref=ref)]


def _once(kept: Sequence[Line], following: Iterable[Line]) -> Iterator[Line]:
    """Yield the kept lines, then new ones, without duplicates."""
    shown = Counter(kept)
    yield from kept
    for line in following:
        if shown[line] > 0:
            shown[line] -= 1
        else:
            yield line


def _print(line: Line, json_output: bool) -> None:
    if json_output:
        click.echo(json.dumps(fields_of(line)))
        return
    text = Text.assemble(
        (units.clock(line.at), "dim"), " ", (f"{printable(line.level):<7}", colours.OF_LEVELS.get(line.level, "")), " "
    )
    console().print(text.append(printable(line.text)), soft_wrap=True)
