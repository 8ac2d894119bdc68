"""Builds filters from the options that choose events and dead letters."""

from __future__ import annotations

from typing import TypedDict, Unpack

import click

from st2sensor.cli.text.moments import moment_of
from st2sensor.errors import ConfigError
from st2sensor.history.event import State
from st2sensor.history.filters import Filters, condition


class Options(TypedDict):
    """The options as a user writes them. `declarations.events.filters` adds them to a command.

    :param where: conditions, such as `payload.disk.percent>90`.
    """

    sensor: str | None
    triggers: tuple[str, ...]
    trace: str | None
    since: str | None
    until: str | None
    where: tuple[str, ...]
    states: tuple[str, ...]


def filters_of(**options: Unpack[Options]) -> Filters:
    """Return the filters that options describe. Raises click.BadParameter."""
    try:
        conditions = tuple(map(condition, options["where"]))
    except ConfigError as exception:
        raise click.BadParameter(str(exception), param_hint="--where") from exception
    return Filters(
        sensor=options["sensor"] or "",
        triggers=frozenset(options["triggers"]),
        trace_tag=options["trace"] or "",
        since=moment_of("--since", options["since"]),
        until=moment_of("--until", options["until"]),
        states=frozenset(map(State, options["states"])),
        conditions=conditions,
    )
