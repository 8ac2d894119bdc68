"""The operators' parts are opened and closed together, and forget sensors that are gone."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any, cast

import pytest

from st2sensor.container import broadcast
from st2sensor.container.broadcast import Broadcast
from st2sensor.container.operators.interface import OperatorInterface, tell_dispatched
from st2sensor.container.operators.recent_logs import RecentLogs
from st2sensor.health import Health
from st2sensor.outbox.entry import Entry


class Parts:
    """A control socket, a page and a recorder in one."""

    def __init__(self) -> None:
        self.steps: list[object] = []
        self.sensors = ["p.A", "p.B"]

    def listen(self, loop: object, state_dir: Path, group: str) -> Any:  # noqa: ARG002
        self.steps.append(("listen", group))
        return Endpoint(self.steps)

    def close_control(self) -> None:
        self.steps.append("control closed")

    def forget(self, ref: str) -> None:
        self.steps.append(("forget", ref))


class Endpoint:
    def __init__(self, steps: list[object]) -> None:
        self.steps = steps

    def close(self) -> None:
        self.steps.append("endpoint closed")


class Control:
    def __init__(self, parts: Parts) -> None:
        self.listen, self.close = parts.listen, parts.close_control


class Page:
    health = Health(reason="the port is in use")

    def __init__(self, steps: list[object]) -> None:
        self.steps = steps

    async def open(self) -> None:
        self.steps.append("page opened")

    async def close(self) -> None:
        self.steps.append("page closed")


@pytest.mark.parametrize("has_page", [True, False])
def test_all_of_it_is_opened_and_closed(folder: Path, has_page: bool) -> None:
    async def main() -> None:
        parts = Parts()
        recent = RecentLogs(asyncio.get_running_loop(), Broadcast())
        interface = OperatorInterface(
            cast(Any, Control(parts)),
            recent,
            cast(Any, parts),
            control_group="operators",
            page=Page(parts.steps) if has_page else None,
        )
        assert interface.page_health == (Page.health if has_page else None)
        # An interface that was never opened can be closed.
        await interface.close()
        parts.steps.clear()
        await interface.open(folder)
        assert recent in logging.getLogger().handlers
        interface.keep_only(frozenset({"p.B"}))
        await interface.close()
        assert recent not in logging.getLogger().handlers
        page = ["page opened"] if has_page else []
        closed = ["page closed"] if has_page else []
        assert parts.steps == [
            ("listen", "operators"),
            *page,
            ("forget", "p.A"),
            "endpoint closed",
            "control closed",
            *closed,
        ]

    asyncio.run(main())


def test_triggers_and_dead_letters_are_broadcast() -> None:
    entry = Entry(message_id="1", sensor="p.A", trigger="p.t", trigger_type="p.t", created=1.0, body="{}")
    events = Broadcast()
    with events.watched(broadcast.KINDS) as watcher:
        tell_dispatched(events, entry)
        tell_dispatched(
            events,
            Entry(
                message_id="2",
                sensor="p.A",
                trigger="p.x",
                trigger_type="p.x",
                created=1.0,
                body="{}",
                reason="it is not registered",
            ),
        )
        trigger, invalid = watcher.taken()
    assert (trigger["kind"], trigger["body"], trigger["message_id"]) == (broadcast.TRIGGER, "{}", "1")
    assert (invalid["kind"], invalid["reason"]) == (broadcast.INVALID, "it is not registered")
    assert invalid["message_id"] == "2"
    assert "body" not in invalid
