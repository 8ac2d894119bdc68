"""What `st2sensor dev` shows: one stream of lines in columns, with colours on a terminal and plain elsewhere."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

STYLES = {
    "trigger": "bold cyan",
    "datastore": "magenta",
    "saved": "bold blue",
    "sensor": "green",
    "pack": "dim",
    "setup": "dim",
    "debug": "dim",
    "info": "",
    "warning": "yellow",
    "error": "bold red",
    "critical": "bold red",
    "invalid": "bold red",
}
"""What there are lines of, and how the word is shown."""

LOUD = {"warning": "yellow", "error": "red", "critical": "red", "invalid": "red"}
"""Kinds whose text is coloured, too."""

KIND_WIDTH = max(map(len, STYLES))
WIDEST_NAME = 32
BELOW = 10
"""Columns before what stands below a line."""

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

HIGHLIGHTER = JSONHighlighter()


class Screen:
    """For several threads."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._name_width = 12
        self._lock = threading.Lock()

    def make_room(self, names: Iterable[str]) -> None:
        """Names that will be shown."""
        self._name_width = min(WIDEST_NAME, max([self._name_width, *map(len, names)]))

    def say(self, text: str = "") -> None:
        """A line without columns, with markup."""
        with self._lock:
            self._console.print(text, soft_wrap=True)

    def show(
        self, kind: str, name: str, text: str | Text = "", *, below: str | Text = "", moment: float | None = None
    ) -> None:
        """A line.

        :param kind: one of STYLES.
        :param below: what is shown under it, as it is.
        :param moment: seconds since the epoch; now unless given.
        """
        stamp = time.strftime("%H:%M:%S", time.localtime(moment))
        words = text if isinstance(text, Text) else Text(printable(text), LOUD.get(kind, ""))
        with self._lock:
            if self._console.is_terminal:
                self._console.print(self._columns(kind, stamp, name, words))
            else:
                line = f"{stamp}  {kind:{KIND_WIDTH}}  {printable(name):{self._name_width}}  {words.plain}"
                self._console.print(Text(line.rstrip()), soft_wrap=True)
            if below:
                lines = below if isinstance(below, Text) else Text(printable(below), "dim")
                lines.rstrip()
                self._console.print(Padding(lines, (0, 0, 0, BELOW)), soft_wrap=not self._console.is_terminal)

    def _columns(self, kind: str, stamp: str, name: str, words: Text) -> Table:
        table = Table.grid(padding=(0, 2, 0, 0), expand=True)
        table.add_column(width=len(stamp), no_wrap=True, style="dim")
        table.add_column(width=KIND_WIDTH, no_wrap=True)
        table.add_column(width=self._name_width, overflow="fold")
        table.add_column(ratio=1, overflow="fold")
        table.add_row(stamp, Text(kind, STYLES[kind]), Text(printable(name), "bold"), words)
        return table


def highlighted(payload: Any) -> Text:
    """JSON in its colours."""
    text = Text(printable(json.dumps(payload, ensure_ascii=False)))
    HIGHLIGHTER.highlight(text)
    return text


def printable(text: str) -> str:
    """Without what would steer the terminal, and what it has no form for."""
    return CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text.encode("utf-8", "backslashreplace").decode())
