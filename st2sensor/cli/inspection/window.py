"""The part of a long list that a screen shows."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A part of a list.

    :param first: index of the first row that is shown.
    :param room: maximum number of rows that are shown.
    """

    first: int = 0
    room: int = 1

    def fitted(self, total: int, room: int) -> Window:
        """Return the window for a list of another length or a screen of another height.

        :param total: number of rows of the list.
        """
        room = max(1, room)
        return Window(first=max(0, min(self.first, total - room)), room=room)

    def moved(self, key: str, total: int) -> Window:
        """Return the window after a key, which is one of those of st2sensor.cli.inspection.keys."""
        page = max(1, self.room - 1)
        steps = {"up": -1, "down": 1, "page up": -page, "page down": page, "home": -total, "end": total}
        return replace(self, first=self.first + steps.get(key, 0)).fitted(total, self.room)

    def hint(self, total: int, can_scroll: bool) -> str:
        """Return a line about the rows that are not shown; empty if there are none.

        :param can_scroll: whether keys move the window.
        """
        last = min(total, self.first + self.room)
        hidden = total - (last - self.first)
        if hidden <= 0:
            return ""
        how = "arrows, PgUp, PgDn scroll, q ends" if can_scroll else "top --once shows all"
        return f"{self.first + 1} to {last} of {total}, {hidden} not shown: {how}"
