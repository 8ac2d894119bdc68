"""The log lines that are kept of each sensor, and those that are broadcast."""

from __future__ import annotations

import asyncio
import logging

from st2sensor.container import broadcast
from st2sensor.container.broadcast import Broadcast
from st2sensor.container.operators.recent_logs import LINE_LIMIT, MOST_LINES, RecentLogs
from st2sensor.logs.setup import of_sensor
from tests.plugins.patience import SOON


def record(message: str, sensor: str | None = "p.S") -> logging.LogRecord:
    made = logging.LogRecord("p.S", logging.WARNING, "", 0, message, None, None)
    if sensor is not None:
        vars(made).update(of_sensor(sensor))
    return made


def texts(recent: RecentLogs, sensor: str = "p.S") -> list[str]:
    return [line["text"] for line in recent.lines(sensor)]


def test_the_newest_lines_of_each_sensor_are_kept_until_it_is_forgotten() -> None:
    async def main() -> None:
        recent = RecentLogs(asyncio.get_running_loop(), Broadcast())
        for number in range(MOST_LINES + 5):
            recent.handle(record(str(number)))
        recent.handle(record("x" * 10_000, "p.Other"))
        recent.handle(record("the container's own", None))
        assert texts(recent) == [str(number) for number in range(5, MOST_LINES + 5)]
        assert recent.lines("p.S")[0]["level"] == "WARNING"
        assert texts(recent, "p.Other") == ["x" * LINE_LIMIT]
        recent.forget("p.S")
        assert texts(recent) == texts(recent, "p.None") == []

    asyncio.run(main())


def test_lines_of_any_thread_are_broadcast_while_somebody_watches() -> None:
    async def main() -> None:
        events = Broadcast()
        recent = RecentLogs(asyncio.get_running_loop(), events)
        recent.handle(record("nobody watches"))
        with events.watched([broadcast.LINE]) as watcher:
            await asyncio.to_thread(recent.handle, record("somebody does"))
            async with asyncio.timeout(SOON):
                event = await watcher.next()
            assert (event["sensor"], event["text"], event["level"]) == ("p.S", "somebody does", "WARNING")
            assert watcher.taken() == []

    asyncio.run(main())
