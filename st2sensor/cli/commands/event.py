"""`st2sensor event`: show the life of one event."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any
from urllib.parse import quote

import click
from rich.table import Table

from st2sensor.cli.commands.events import history_of
from st2sensor.cli.configuration import configured
from st2sensor.cli.events import nodes
from st2sensor.cli.events.history import at as moment
from st2sensor.cli.text import units
from st2sensor.cli.text.console import console
from st2sensor.cli.text.printable import in_line
from st2sensor.errors import EventNotFound
from st2sensor.settings import Settings
from st2sensor.shown import found
from st2sensor.shown.fields import whole
from st2sensor.shown.masks import Masks


def event(config_files: Sequence[str], *, identifier: str, json_output: bool) -> int:
    """Print an event with a timeline; return the exit code. Raises HistoryError, EventNotFound."""
    settings = configured(config_files)
    life = _life(settings, identifier)
    if json_output:
        click.echo(json.dumps(life))
        return 0
    out = console()
    about = Table.grid(padding=(0, 2))
    for name, text in _about(life):
        about.add_row(name, in_line(text))
    out.print(about)
    out.print()
    timeline = Table.grid(padding=(0, 2))
    created = moment(life["dispatched"])
    for step in life["timeline"]:
        at = moment(step["time"])
        timeline.add_row("" if at is None else units.clock(at), _after(created, at), in_line(str(step["text"])))
    out.print(timeline)
    out.print()
    kept = json.dumps(life["payload"], indent=2, ensure_ascii=False) if life["kept"] else "the payload was not kept"
    click.echo(kept)
    return 0


def _life(settings: Settings, identifier: str) -> Mapping[str, Any]:
    """Return an event of this node, or else of another, with its timeline. Raises HistoryError, EventNotFound."""
    try:
        with closing(history_of(settings)) as history:
            event = found.one(history, settings.container.state_dir / "outbox.db", identifier)
            return whole(event, Masks(settings), history.replays(event.message_id))
    except EventNotFound as error:
        answers = nodes.ask(settings, f"/history/{quote(identifier, safe='')}")
        lives = {life["message_id"]: life for answer in answers if nodes.sound(life := answer.document)}
        if len(lives) > 1:
            raise EventNotFound(f"several events begin with {identifier}: give more of the id") from None
        for life in lives.values():
            return life
        raise EventNotFound("; ".join([str(error), *nodes.not_asked(answers)])) from None


def _about(life: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    trigger, kind = life.get("trigger"), life["trigger_type"]
    yield "event", life["message_id"]
    yield "sensor", str(life.get("sensor"))
    yield "trigger", kind if trigger == kind else f"{trigger} ({kind})"
    if life.get("trace_tag"):
        yield "trace tag", str(life["trace_tag"])
    if life.get("node"):
        fence = life.get("fence")
        yield "node", str(life["node"]) + ("" if fence is None else f", fence {fence}")


def _after(created: float | None, at: float | None) -> str:
    return "" if at is None or created is None or at <= created else f"+{units.span(at - created)}"
