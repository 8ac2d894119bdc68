"""How much waits for a page that does not read."""

from __future__ import annotations

import asyncio

import pytest

from st2sensor.status import feed
from st2sensor.status.feed import Page


def test_a_page_that_does_not_read_has_so_many_bytes_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "BACKLOG_BYTES", 100)

    async def run() -> None:
        page = Page()
        assert page.put(b"x" * 1000)
        assert not page.put(b"x")
        assert await page.get() == b"x" * 1000
        assert page.put(b"x" * 60)
        assert page.put(b"x" * 40)
        assert not page.put(b"x")
        page.end()
        assert await page.get() is None

    asyncio.run(run())
