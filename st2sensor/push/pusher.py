"""Sends the events of the history to one target: in order for each sensor, until the target has accepted them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import groupby

from st2sensor.api.feed import CONSUMED
from st2sensor.backoff import delay
from st2sensor.errors import HistoryCut, HistoryError
from st2sensor.history.event import Recorded
from st2sensor.history.filters import Filters
from st2sensor.history.reader import History, Page
from st2sensor.push.position import Position
from st2sensor.push.sender import Answer
from st2sensor.push.targets import Target
from st2sensor.reports import PushReport

LOG = logging.getLogger("st2sensor.push")

PAGE = 100
"""Maximum number of events of a target in memory."""

AHEAD = 10_000
"""Maximum number of events after the first one that the target refuses, among which those of other sensors are sent."""

LANES = 8
"""Maximum number of requests at the same time to a target; each is for another sensor."""

LOOK_INTERVAL = 0.2
"""Seconds between two checks of the history when there is nothing to send."""

FIRST_RETRY = 0.5
"""Seconds after the first failure; they double."""

HISTORY_RETRY = 1.0
"""Seconds until a history that cannot be read is tried again."""

WORTH_TELLING = 3
"""Number of failures in a row from which a target is in trouble. After a refusal, it is in trouble at once."""

Send = Callable[[Target, Recorded], Awaitable[Answer]]


class Pusher:
    """One target. `report` may be called from any thread, everything else from one loop.

    :param send: sends an event once.
    :param retry_max: maximum number of seconds between two attempts.
    :param clock: seconds since the epoch.
    """

    def __init__(
        self,
        target: Target,
        history: History,
        position: Position,
        send: Send,
        *,
        retry_max: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._target = target
        self._history = history
        self._position = position
        self._send = send
        self._retry_max = retry_max
        self._clock = clock
        self._filters = Filters(sensor=target.sensor, triggers=target.triggers, states=CONSUMED)
        self._taken: set[int] = set()
        """Events after the cursor that the target has accepted, because they are of other sensors than the one that
        fails."""
        self._end = ""
        """The cursor after the newest event."""
        self._since: float | None = None
        """When the oldest event that the target lacks left the outbox; None if it lacks none."""
        self._delivered = self._failures = self._in_a_row = self._gaps = self._missed = 0
        self._failed_at: str | None = None
        """The cursor before the event at which the last round failed."""
        self._problem = ""
        """Why the last round failed; empty if it did not."""
        self._is_refused = False
        self._failing_since: float | None = None
        self._stopping = asyncio.Event()

    def begin(self) -> None:
        """Note where a new target begins, before events are recorded that it must get. Raises HistoryError."""
        if self._position.cursor is None and not self._target.from_oldest:
            self._position.move(self._history.end())
            self._position.save()

    def stop(self) -> None:
        """Let `run` return once the requests in progress are answered."""
        self._stopping.set()

    async def run(self) -> None:
        """Send events until `stop`."""
        while not self._stopping.is_set():
            try:
                wait = await self.turn()
            except HistoryError as error:
                wait = self._failed(Answer(problem=str(error), is_silence=True), HISTORY_RETRY)
            except Exception:
                LOG.exception("push to %s failed, and is tried again", self._target.name)
                wait = self._failed(Answer(problem="an internal error, see the log"), HISTORY_RETRY)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._stopping.wait()

    async def turn(self) -> float:
        """Send the next events. Return the number of seconds until the next turn."""
        self.begin()
        try:
            page = self._history.page(self._position.cursor, self._filters, PAGE)
        except HistoryCut as error:
            self._cut(error)
            return 0.0
        self.look()
        blocked: set[str] = set()
        failed = await self._round(page, blocked)
        self._advance(page)
        self._position.save()
        if failed is not None and not failed.is_silence:
            await self._go_ahead(page, blocked)
        if failed is not None:
            self._failures += 1
            self._count_in_a_row()
            wait = delay(self._in_a_row, first=FIRST_RETRY, cap=self._retry_max)
            return self._failed(failed, max(wait, min(failed.retry_after, self._retry_max)))
        self._succeeded()
        return 0.0 if page.has_more else LOOK_INTERVAL

    def look(self) -> None:
        """Note how many events there are. Raises HistoryError."""
        self._end = self._history.end()

    def save(self) -> None:
        self._position.save()

    def report(self) -> PushReport:
        """Return the state of the target."""
        since = self._since
        is_in_trouble = self._is_refused or self._in_a_row >= WORTH_TELLING
        return PushReport(
            name=self._target.name,
            url=self._target.shown,
            lag=max(0, _number(self._end) - _number(self._position.cursor or "")) if self._end else 0,
            lag_seconds=0.0 if since is None else max(0.0, self._clock() - since),
            delivered=self._delivered,
            failures=self._failures,
            gaps=self._gaps,
            missed=self._missed,
            problem=(self._problem if is_in_trouble else "") or self._position.problem,
            failing_since=self._failing_since,
        )

    async def _go_ahead(self, page: Page, blocked: set[str]) -> None:
        """Send the events after a page, except those of sensors for which an event was not taken: one event that the
        target refuses must not hold up other sensors. Raises HistoryError."""
        last = _number(self._position.cursor or "") + AHEAD
        while page.has_more and _number(page.cursor) < last and not self._stopping.is_set():
            page = self._history.page(page.cursor, self._filters, PAGE)
            failed = await self._round(page, blocked, is_ahead=True)
            if failed is not None and failed.is_silence:
                return

    async def _round(self, page: Page, blocked: set[str], *, is_ahead: bool = False) -> Answer | None:
        """Send each sensor's events in order, those of several sensors at once. Return a failure, or None.

        :param blocked: sensors whose events must wait; those that fail are added.
        :param is_ahead: whether the cursor cannot move yet.
        """
        todo = [event for event in page.events if event.seq not in self._taken and event.sensor not in blocked]
        if not is_ahead:
            self._since = todo[0].settled if todo else None
        failed: list[Answer] = []
        room = asyncio.Semaphore(LANES)

        async def lane(events: Sequence[Recorded]) -> None:
            async with room:
                for event in events:
                    if self._stopping.is_set() or any(answer.is_silence for answer in failed):
                        # If the receiver is away, requests for other sensors would only wait as long.
                        return
                    answer = await self._send(self._target, event)
                    if answer.problem:
                        failed.append(answer)
                        blocked.add(event.sensor)
                        return
                    self._delivered += 1
                    self._taken.add(event.seq)
                    if not is_ahead:
                        self._advance(page)

        by_sensor = sorted(todo, key=lambda event: event.sensor)
        async with asyncio.TaskGroup() as group:
            for _, events in groupby(by_sensor, key=lambda event: event.sensor):
                group.create_task(lane(list(events)))
        return max(failed, key=lambda answer: (answer.is_refusal, answer.retry_after), default=None)

    def _count_in_a_row(self) -> None:
        """Count failures at the same event. A target that takes an event now and then gets on: begin again."""
        if self._position.cursor != self._failed_at:
            self._in_a_row, self._failing_since = 0, None
        self._in_a_row += 1
        self._failed_at = self._position.cursor

    def _advance(self, page: Page) -> None:
        """Move the cursor up to the first event that the target lacks."""
        identity = page.cursor.partition(".")[0]
        cursor = self._position.cursor
        for event in page.events:
            if event.seq not in self._taken:
                self._since = event.settled
                break
            cursor = f"{identity}.{event.seq}"
        else:
            cursor, self._since = page.cursor, None
        if cursor is not None:
            self._position.move(cursor)
        if cursor == page.cursor:
            before = _number(cursor)
            self._taken = {seq for seq in self._taken if seq > before}

    def _cut(self, error: HistoryCut) -> None:
        """Continue with the oldest event that is kept."""
        before = self._position.cursor or ""
        is_same = before.partition(".")[0] == error.oldest.partition(".")[0]
        missed = max(0, _number(error.oldest) - _number(before)) if is_same else 0
        self._gaps += 1
        self._missed += missed
        self._taken.clear()
        LOG.error(
            "push to %s has a gap: %s events were cut from the history before it took them; it continues with the"
            " oldest one kept: raise [history] max_age or max_bytes",
            self._target.name,
            f"up to {missed}" if missed else "an unknown number of",
        )
        self._position.move(error.oldest)
        self._position.save()

    def _failed(self, answer: Answer, wait: float) -> float:
        is_new = answer.problem != self._problem
        self._problem, self._is_refused = answer.problem, answer.is_refusal
        if self._failing_since is None:
            self._failing_since = self._clock()
        if is_new:
            LOG.warning("push to %s (%s): %s; trying again", self._target.name, self._target.shown, answer.problem)
        return wait

    def _succeeded(self) -> None:
        if self._problem:
            LOG.info("push to %s (%s) works again", self._target.name, self._target.shown)
        self._problem, self._is_refused, self._in_a_row, self._failing_since = "", False, 0, None
        self._failed_at = None


def _number(cursor: str) -> int:
    number = cursor.rpartition(".")[2]
    return int(number) if number.isascii() and number.isdigit() else 0
