"""Decides which shared sensors this container may run now, as one of the containers that share them.

The participant's turns block, so they run in a thread of their own. Their results are used in the loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from st2sensor.errors import StorageError
from st2sensor.health import Health, changed
from st2sensor.sharing.clocks import Moment
from st2sensor.sharing.participant import Participant, TurnInput, TurnResult
from st2sensor.system.event_loop import call_in_loop
from st2sensor.system.threads import Threads

LOG = logging.getLogger("st2sensor.sharing")

OVER = "its lease is over: another container may run it"


@dataclass(frozen=True, slots=True, kw_only=True)
class MembershipHooks:
    """The container's side of the membership.

    :param wanted: returns the sensors that any container should run, with the labels that a node must have to run
        them; None while they are not known.
    :param alive: returns the sensors that have a process here.
    :param changed: called when `runs` has changed.
    :param over: called with the reason when sensors may no longer have processes here.
    :param limit: makes sure that all sensors are killed as soon as either of the host's two clocks reaches a moment,
        even while this process is paused.
    """

    wanted: Callable[[], Mapping[str, tuple[str, ...]] | None]
    alive: Callable[[], list[str]]
    changed: Callable[[], None]
    over: Callable[[str], None]
    limit: Callable[[Moment], None]


class Membership:
    """For the loop's thread.

    :param participant: used only in the thread of turns, except for its held leases.
    """

    def __init__(self, participant: Participant, hooks: MembershipHooks) -> None:
        self._participant = participant
        self._holdings = participant.holdings
        self._times = participant.times
        self._hooks = hooks
        self._thread = Threads(1, "leases")
        self._loop = asyncio.get_running_loop()
        self._poked = asyncio.Event()
        self._turned = asyncio.Event()
        self._timers: list[asyncio.TimerHandle] = []
        self._limit = self._holdings.end
        self._ends = False
        """Whether sensors have been asked to stop because the leases are about to end or have ended."""
        self._leaving = self._closing = False
        self._has_begun = False
        """Whether a turn has been taken, so that this container may be a member."""
        self._wanted: Mapping[str, tuple[str, ...]] = {}
        """The wanted sensors as of the last turn. If a sensor became wanted after that, another container may take
        it."""
        self.runs: Mapping[str, int] = {}
        """Fences of the sensors that may run here."""
        self.view = TurnResult()
        """Result of the last turn."""
        self.health = Health(reason="")
        """Whether leases can be renewed."""
        self._holdings.doubted = self._doubted
        self._task = self._loop.create_task(self._take_turns())

    @property
    def held(self) -> Mapping[str, int]:
        """Fences of the sensors whose leases this container has, even if the leases are over."""
        return self._holdings.fences

    @property
    def seconds_left(self) -> float:
        """Seconds until the leases are over, unless they are renewed."""
        return self._holdings.seconds_left

    def poke(self) -> None:
        """Take a turn now, because something has changed here."""
        self._poked.set()

    def why_not(self, ref: str) -> str:
        """Return why a sensor no longer runs here."""
        if ref in self.view.moving:
            return "another container will run it"
        return "its lease could not be renewed" if self._ends else OVER

    def time_left(self) -> str:
        """Return how long the sensors may run without a renewal, in words."""
        left = self.seconds_left
        return f"the sensors stop in {left:.1f} s" if left else "no sensor runs until they are"

    async def announce(self) -> None:
        """Announce that this container is leaving, so that others take its sensors as soon as they have stopped."""
        self._leaving = True
        self._decide()
        await self._until(lambda: self.view.announced)

    async def close(self) -> None:
        """Release the leases, and leave. If a lease cannot be released now, others take it when it expires."""
        await self._until(lambda: not self._holdings.fences)
        self._closing = True
        self.poke()
        await self._task
        try:
            await self._loop.run_in_executor(self._thread, self._participant.close)
        except StorageError as exception:
            LOG.warning("%s; others will take this container's sensors when its lease expires", exception)
        for timer in self._timers:
            timer.cancel()
        self._thread.shutdown()

    async def _until(self, is_reached: Callable[[], bool]) -> None:
        """Take turns until a condition holds, but only while the database answers, and no longer than a term."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._times.term):
                while self._has_begun and not is_reached() and self.health.ok:
                    self._turned.clear()
                    self.poke()
                    await self._turned.wait()

    async def _take_turns(self) -> None:
        while not self._closing:
            wait = self._times.tick
            wanted = self._hooks.wanted()
            self._poked.clear()
            if wanted is not None:
                wait = await self._turn(wanted)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._poked.wait()

    async def _turn(self, wanted: Mapping[str, tuple[str, ...]]) -> float:
        """Take a turn. Returns the seconds until the next one."""
        self._has_begun = True
        busy = frozenset(self._hooks.alive()).union(self.runs)
        situation = TurnInput(wanted=wanted, busy=busy, leaving=self._leaving)
        try:
            view = await self._loop.run_in_executor(self._thread, self._participant.turn, situation, self._extended)
        except StorageError as exception:
            if self.health.ok:
                LOG.warning("leases cannot be renewed: %s; %s", exception, self.time_left())
            self.health = changed(self.health, f"leases cannot be renewed: {exception}")
            return self._times.tick / 2
        except Exception as exception:
            LOG.exception("leases cannot be renewed; %s", self.time_left())
            self.health = changed(self.health, f"leases cannot be renewed: {exception!r}")
            return self._times.tick
        else:
            if not self.health.ok:
                LOG.info("leases are renewed again")
            self.health = changed(self.health, "")
            self.view, self._wanted = view, wanted
            if view.evicted:
                self._hooks.over(f"{view.evicted}: another container may run it")
            return view.wait
        finally:
            self._keep_time()
            self._decide()
            self._turned.set()

    def _extended(self) -> None:
        """Use the renewed leases now: the previous ones may end before the turn. Called in the thread of turns."""
        call_in_loop(self._loop, self._keep_time)

    def _doubted(self) -> None:
        """Renew now: the clocks disagree, and no event is accepted before a renewal. Called in any thread."""
        call_in_loop(self._loop, self.poke)

    def _keep_time(self) -> None:
        """Set timers: sensors are asked to stop some time before the end, and are killed at the end.

        If this process cannot kill them, the warden does.
        """
        end = self._holdings.end
        if end != self._limit:
            self._limit = end
            self._hooks.limit(end)
        for timer in self._timers:
            timer.cancel()
        # The timers are set again after each turn, because a clock may have been changed.
        left = self._holdings.seconds_left
        self._ends = left <= self._times.grace
        self._timers = [
            self._loop.call_later(max(0.0, left - self._times.grace), self._end, end),
            self._loop.call_later(left, self._is_over, end),
        ]

    def _is_over(self, end: Moment) -> None:
        if self._holdings.end == end:
            self._hooks.over(OVER)

    def _end(self, end: Moment) -> None:
        if self._holdings.end != end:
            return
        if self.runs:
            LOG.warning("no renewal for %.1f s: stopping the sensors", self._times.term - self._times.grace)
        self._ends = True
        self._decide()

    def _decide(self) -> None:
        held = {} if self._ends or self._leaving else self._holdings.fences
        runs = {ref: fence for ref, fence in held.items() if ref in self._wanted and ref not in self.view.moving}
        if runs != self.runs:
            self.runs = runs
            self._hooks.changed()
