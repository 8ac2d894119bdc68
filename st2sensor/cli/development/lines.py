"""The output of `st2sensor dev --json`: one line of JSON for each thing that happens."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import click
from rich.text import Text

from st2sensor.portable import isotime
from st2sensor.reports.json_form import moment as time_text


class Lines:
    """Prints lines of JSON. Safe for several threads. It is an Output."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def make_room(self, names: Iterable[str]) -> None:
        """Do nothing: there are no columns."""

    def say(self, text: str = "") -> None:
        words = Text.from_markup(text).plain.strip()
        if words:
            self._print(None, "note", "", text=words)

    def show(self, kind: str, name: str, text: str = "", *, below: str = "", moment: float | None = None) -> None:
        self._print(moment, kind, name, text=text, **({"below": below} if below else {}))

    def show_event(
        self, kind: str, name: str, payload: Mapping[str, Any], *, reason: str = "", trace_tag: str | None = None
    ) -> None:
        self._print(None, kind, name, text=reason, payload=payload, trace_tag=trace_tag)

    def show_entry(self, name: str, value: str | None) -> None:
        self._print(None, "datastore", name, value=value)

    def _print(self, moment: float | None, kind: str, name: str, **fields: object) -> None:
        """:param moment: seconds since the epoch; None for now."""
        now = isotime.format(datetime.now(UTC), offset=False)
        line = {"time": now if moment is None else time_text(moment), "kind": kind, "name": name or None, **fields}
        with self._lock:
            click.echo(json.dumps(line))
