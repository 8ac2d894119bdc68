"""Announcements of changed keys: gathered, kept quiet for bookkeeping, and dropped while the outbox is full."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from st2sensor.container.sessions.datastore import announcer as module
from st2sensor.container.sessions.datastore.announcer import Announcer
from st2sensor.models import Change, KeyValue
from tests.unit.container.sessions.fakes import until


class Outbox:
    def __init__(self) -> None:
        self.has_room = True
        self.emitted: list[tuple[str, dict[str, Any]]] = []
        self.announcer: Announcer

    def emit(self, trigger: str, payload: dict[str, Any]) -> None:
        self.emitted.append((trigger, payload))


def outbox(*, enabled: bool = True) -> Outbox:
    made = Outbox()
    made.announcer = Announcer(asyncio.get_running_loop(), made, made.emit, enabled=enabled)
    return made


def change(name: str) -> Change:
    return Change(old=None, new=KeyValue(name=name, value="v"))


def names(found: Outbox) -> list[str]:
    return [payload["object"]["name"] for trigger, payload in found.emitted if trigger.endswith(".create")]


def test_changes_from_any_thread_are_announced_together_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANNOUNCE_DELAY", 0.0)

    async def main() -> None:
        made = outbox()
        # The loop does nothing meanwhile.
        thread = threading.Thread(target=made.announcer.announce, args=(change("a"),))
        thread.start()
        thread.join()
        made.announcer.announce(change("b"))
        assert made.emitted == []
        await until(lambda: bool(made.emitted))
        assert names(made) == ["a", "b"]
        # And again.
        made.announcer.announce(change("c"))
        await until(lambda: len(names(made)) == 3)

    asyncio.run(main())


def test_a_change_waits_for_its_delay_and_the_end_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANNOUNCE_DELAY", 3600.0)

    async def main() -> None:
        made = outbox()
        made.announcer.announce(change("a"))
        for _ in range(5):
            await asyncio.sleep(0)
        assert made.emitted == []
        made.announcer.flush()
        assert names(made) == ["a"]

    asyncio.run(main())


@pytest.mark.parametrize("name", ["core.TimerSensor:cursor", "core.WebhookSensor:api_key.1"])
def test_bookkeeping_of_the_bundled_pack_is_not_announced(name: str) -> None:
    async def main() -> None:
        made = outbox()
        made.announcer.announce(change(name))
        made.announcer.announce(Change(old=change(name).new, new=None))
        made.announcer.announce(change("core.Other:x"))
        made.announcer.flush()
        assert names(made) == ["core.Other:x"]
        assert len({payload["object"]["name"] for _, payload in made.emitted}) == 1

    asyncio.run(main())


def test_nothing_is_announced_where_that_is_off() -> None:
    async def main() -> None:
        made = outbox(enabled=False)
        made.announcer.announce(change("a"))
        made.announcer.flush()
        assert made.emitted == []

    asyncio.run(main())


def test_changes_are_dropped_while_the_outbox_is_full_and_the_log_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        made = outbox()

        def flushed(name: str) -> None:
            made.announcer.announce(change(name))
            made.announcer.flush()

        made.has_room = False
        flushed("a")
        flushed("b")
        assert caplog.text.count("are not announced until the outbox has room") == 1
        made.has_room = True
        flushed("c")
        made.has_room = False
        flushed("d")
        assert names(made) == ["c"]
        assert caplog.text.count("are not announced until the outbox has room") == 2

    asyncio.run(main())
