"""Where `st2sensor dev` shows what happens: a screen for people, or lines of JSON for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol


class Output(Protocol):
    """Shows what happens. Safe for several threads."""

    def make_room(self, names: Iterable[str]) -> None:
        """Prepare for the names that will be shown."""

    def say(self, text: str = "") -> None:
        """Show a line with markup, without a kind."""

    def show(self, kind: str, name: str, text: str = "", *, below: str = "", moment: float | None = None) -> None:
        """Show a line.

        :param kind: a key of screen.STYLES.
        :param name: name of the sensor, trigger type or file; empty for none.
        :param below: further lines, such as a traceback. The last one is highlighted.
        :param moment: seconds since the epoch; None for now.
        """

    def show_event(
        self, kind: str, name: str, payload: Mapping[str, Any], *, reason: str = "", trace_tag: str | None = None
    ) -> None:
        """Show an event.

        :param kind: `trigger`, or `invalid` with a reason.
        :param name: its trigger type.
        """

    def show_entry(self, name: str, value: str | None) -> None:
        """Show a change of the datastore; None means that the key is deleted."""
