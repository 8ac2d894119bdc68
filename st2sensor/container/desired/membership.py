"""The container as a member of those that share sensors: which sensors it may run, right now.

Turns are taken in a thread of its own, because they block. What they have found is used in the loop's thread.
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
from st2sensor.system.threads import Threads

LOG = logging.getLogger("st2sensor.sharing")

OVER = "its lease is over: another container may run it"


@dataclass(frozen=True, slots=True, kw_only=True)
class MembershipHooks:
    """What the node has to do with it.

    :param wanted: the sensors that some container is to run, with the labels they need; None while that is not known.
    :param alive: those that have a process here.
    :param changed: called when others may run than before.
    :param over: called when no sensor may have a process here any more, with the reason.
    :param limit: has all sensors killed when one clock has come to a moment, also while this process is paused.
    """

    wanted: Callable[[], Mapping[str, tuple[str, ...]] | None]
    alive: Callable[[], list[str]]
    changed: Callable[[], None]
    over: Callable[[str], None]
    limit: Callable[[Moment], None]


class Membership:
    """For the loop's thread.

    :param participant: used in the thread of turns alone, but for its holdings.
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
        """Whether sensors are asked to stop, because the deadline is near or has passed."""
        self._leaving = self._closing = False
        self._has_begun = False
        """Whether it has taken a turn, and may be a member."""
        self._wanted: Mapping[str, tuple[str, ...]] = {}
        """As of the last turn: what has come to be wanted since may be on its way to somebody else."""
        self.runs: Mapping[str, int] = {}
        """The sensors that may run here, with their fences."""
        self.view = TurnResult()
        """What the last turn has found."""
        self.health = Health(reason="")
        """Whether leases can be renewed."""
        self._holdings.doubted = self._doubted
        self._task = self._loop.create_task(self._take_turns())

    @property
    def held(self) -> Mapping[str, int]:
        """The sensors whose leases it has, with their fences, whether these are over or not."""
        return self._holdings.fences

    @property
    def seconds_left(self) -> float:
        """Until its leases are over, unless they are renewed."""
        return self._holdings.seconds_left

    def poke(self) -> None:
        """Something has changed here: take a turn now."""
        self._poked.set()

    def why_not(self, ref: str) -> str:
        """Why a sensor does not run here any more, in words."""
        if ref in self.view.moving:
            return "another container is to run it"
        return "its lease could not be renewed" if self._ends else OVER

    def time_left(self) -> str:
        """How long the sensors go on without a renewal, in words."""
        left = self.seconds_left
        return f"the sensors stop in {left:.1f} s" if left else "no sensor runs until they are"

    async def announce(self) -> None:
        """Tell the others that this container leaves, so that they take its sensors as soon as these have stopped."""
        self._leaving = True
        self._decide()
        await self._until(lambda: self.view.announced)

    async def close(self) -> None:
        """Release what is held, and leave. What cannot be released now is taken when the lease is over."""
        await self._until(lambda: not self._holdings.fences)
        self._closing = True
        self.poke()
        await self._task
        try:
            await self._loop.run_in_executor(self._thread, self._participant.close)
        except StorageError as exception:
            LOG.warning("%s; others take this container's sensors when its lease is over", exception)
        for timer in self._timers:
            timer.cancel()
        self._thread.shutdown()

    async def _until(self, is_so: Callable[[], bool]) -> None:
        """Take turns until something is so, but not while the database is away, nor for ever."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._times.term):
                while self._has_begun and not is_so() and self.health.ok:
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
        """Returns the seconds until the next one."""
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
                self._hooks.over(f"{view.evicted}: another one may run it")
            return view.wait
        finally:
            self._keep_time()
            self._decide()
            self._turned.set()

    def _extended(self) -> None:
        """In the thread of turns: what else is to be done may take longer than the deadline before."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._keep_time)

    def _doubted(self) -> None:
        """In any thread: the clocks disagree, and nothing is accepted until the lease is renewed."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self.poke)

    def _keep_time(self) -> None:
        """Before the end the sensors have time to stop; then they are killed, by the warden if not from here."""
        end = self._holdings.end
        if end != self._limit:
            self._limit = end
            self._hooks.limit(end)
        for timer in self._timers:
            timer.cancel()
        # Again after each turn, because a clock may have been set.
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
            LOG.warning("no renewal for %.1f s: the sensors stop", self._times.term - self._times.grace)
        self._ends = True
        self._decide()

    def _decide(self) -> None:
        held = {} if self._ends or self._leaving else self._holdings.fences
        runs = {ref: fence for ref, fence in held.items() if ref in self._wanted and ref not in self.view.moving}
        if runs != self.runs:
            self.runs = runs
            self._hooks.changed()
