"""The output of `st2sensor dev` for people: lines in columns, with colours on a terminal and without them elsewhere."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Mapping
from textwrap import indent
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.table import Table
from rich.text import Text

from st2sensor.cli.text.printable import printable

STYLES = {
    "trigger": "bold cyan",
    "datastore": "magenta",
    "saved": "bold blue",
    "sensor": "green",
    "container": "dim",
    "setup": "dim",
    "debug": "dim",
    "info": "",
    "warning": "yellow",
    "error": "bold red",
    "critical": "bold red",
    "invalid": "bold red",
}
"""The style of the word for each kind of line."""

LOUD = {"warning": "yellow", "error": "red", "critical": "red", "invalid": "red", "sensor": "", "saved": ""}
"""Style of the text, for kinds where it differs from the style of the word."""

KIND_WIDTH = max(map(len, STYLES))
GAP = "  "
"""Space between two columns."""

WIDEST_NAME = 32
BELOW = 10
"""Indentation of text below a line."""

HIGHLIGHTER = JSONHighlighter()


class Screen:
    """Prints lines. Safe for several threads. It is an Output."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._name_width = 12
        self._lock = threading.Lock()

    def make_room(self, names: Iterable[str]) -> None:
        self._name_width = min(WIDEST_NAME, max([self._name_width, *map(len, names)]))

    def say(self, text: str = "") -> None:
        with self._lock:
            self._console.print(text, soft_wrap=True)

    def show(self, kind: str, name: str, text: str = "", *, below: str = "", moment: float | None = None) -> None:
        words = Text(printable(text), LOUD.get(kind, STYLES[kind]))
        self._print(kind, self._named(name, words) if name else words, below, moment)

    def show_event(
        self, kind: str, name: str, payload: Mapping[str, Any], *, reason: str = "", trace_tag: str | None = None
    ) -> None:
        shown = highlighted(payload)
        if trace_tag:
            shown.append(f"  #{printable(trace_tag)}", "magenta")
        if not reason:
            self._print(kind, self._named(name, shown))
            return
        body = self._named(name, Text(printable(reason), LOUD.get(kind, STYLES[kind])))
        self._print(kind, Text.assemble(body, "\n" if self._console.is_terminal else "  ", shown))

    def show_entry(self, name: str, value: str | None) -> None:
        if value is None:
            self._print("datastore", Text(f"{printable(name)} is deleted"))
        else:
            self._print("datastore", Text.assemble((printable(name), "bold"), (" = ", "dim"), printable(value)))

    def _named(self, name: str, text: Text) -> Text:
        return Text.assemble((f"{printable(name):{self._name_width}}", "bold"), "  ", text)

    def _print(self, kind: str, body: Text, below: str = "", moment: float | None = None) -> None:
        stamp = time.strftime("%H:%M:%S", time.localtime(moment))
        with self._lock:
            if not self._console.is_terminal:
                self._console.print(Text(f"{stamp}  {kind:{KIND_WIDTH}}  {body.plain}".rstrip()), soft_wrap=True)
            elif _has_long_path(body, self._console.width - len(stamp) - KIND_WIDTH - 2 * len(GAP)):
                # The terminal wraps the line, so that the path can still be copied in one piece.
                parts = ((stamp, "dim"), GAP, (f"{kind:{KIND_WIDTH}}", STYLES[kind]), GAP, body)
                self._console.print(Text.assemble(*parts), soft_wrap=True)
            else:
                self._console.print(_columns(stamp, kind, body))
            if below:
                self._console.print(_traceback(indent(below.rstrip(), " " * BELOW), kind), soft_wrap=True)


def _has_long_path(body: Text, width: int) -> bool:
    return any("/" in word and cell_len(word) > width for word in body.plain.split())


def _columns(stamp: str, kind: str, body: Text) -> Table:
    """Return a table with one row, so that a long body wraps within its column."""
    table = Table.grid(padding=(0, len(GAP), 0, 0), pad_edge=False)
    table.add_column(width=len(stamp), no_wrap=True)
    table.add_column(width=KIND_WIDTH, no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(Text(stamp, "dim"), Text(kind, STYLES[kind]), body)
    return table


def _traceback(text: str, kind: str) -> Text:
    before, newline, last = printable(text).rpartition("\n")
    return Text.assemble((before + newline, "dim"), (last, LOUD.get(kind, "dim")))


def highlighted(payload: Any) -> Text:
    """Return a payload as coloured JSON."""
    text = Text(printable(json.dumps(payload, ensure_ascii=False)))
    HIGHLIGHTER.highlight(text)
    return text
