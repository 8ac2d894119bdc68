"""The supervisor: one asyncio loop in the main thread that starts and stops sensors until the right ones run.

Event handlers (exits, announcements, signals) record what happened and wake the loop; only the loop acts.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import suppress

from st2sensor.container.desired.snapshot import Snapshot
from st2sensor.container.parts import Parts
from st2sensor.container.supervision.child import summary
from st2sensor.container.supervision.plan import Action, ActionKind, next_due, plan
from st2sensor.container.systemd import Systemd
from st2sensor.errors import SensorNotFound, St2SensorError
from st2sensor.logs import setup as logs

LOG = logging.getLogger("st2sensor.container")

RETRY_INTERVAL = 1.0
"""Seconds until the next turn, even if nothing happens, while actions are postponed."""

ANNOUNCE_TIMEOUT = 1.0
"""Seconds that announcing this container's departure to the other containers may take."""

KILL_TIMEOUT = 3.0
"""Seconds within which killed processes must end."""

WAKE_DELAY = 0.02
"""Seconds for which changes are gathered before the next turn, while actions are postponed."""


class Supervisor:
    """For the loop's thread."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._setup = parts.setup
        self._settings = parts.setup.settings.container
        self._targets = parts.targets
        self._children = parts.children
        self._lifetime = parts.lifetime
        self._wake = parts.wake
        self._put_off = False
        """Whether some actions are postponed because too many sensors are changing, or because a turn has failed."""
        self._last_failure = ""
        """The unexpected error of the last turn."""
        self._has_learned = False
        parts.targets.listen(self._learned)

    async def run(self) -> int:
        """Supervise until a signal requests a stop, and return the exit code. Raises ConfigError and SensorNotFound."""
        loop = asyncio.get_running_loop()
        self._hear_signals(loop)
        systemd = Systemd(loop, os.environ)
        try:
            await self._parts.interface.open(self._setup.state_dir)
            if not self._setup.foreground:
                # In the foreground, the user may be paused at a breakpoint.
                self._parts.hangs.follow(loop)
                self._parts.expectations.follow(loop)
            while not self._lifetime.is_stopping:
                self._take_turn(systemd)
                await self._sleep()
        finally:
            systemd.stopping()
            await self._stop_all()
            systemd.close()
            await self._parts.close()
        return self._lifetime.exit_code

    def mark_stale(self) -> None:
        """Read storage in the next turn, because its content may have changed."""
        self._parts.refresh.mark_stale()
        self._wake.set()

    def _hear_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop_signal)
        # In the foreground, SIGHUP means that the terminal was closed.
        loop.add_signal_handler(signal.SIGHUP, self._on_stop_signal if self._setup.foreground else self.mark_stale)
        loop.add_signal_handler(signal.SIGUSR1, logs.reopen)
        # The caller has blocked these signals until now.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1})
        reaper = self._parts.reaper
        if reaper is not None:
            # uvloop accepts no handler for SIGCHLD; it calls a handler that is set without it in one of its turns.
            signal.signal(signal.SIGCHLD, lambda *_: loop.call_soon(reaper.schedule))

    def _on_stop_signal(self) -> None:
        if self._lifetime.is_stopping:
            # After a second request, processes are killed at once.
            self._children.kill_all()
        self._lifetime.stop()

    # The loop's steps.

    def _take_turn(self, systemd: Systemd) -> None:
        """Read storage if it may have changed, and act. An unexpected error is logged; the next turn tries again."""
        try:
            self._parts.refresh.look_when_stale()
            self._reconcile()
            if self._parts.refresh.has_looked and not self._put_off:
                systemd.ready()
            systemd.status(summary(self._children.states.values()))
        except St2SensorError:
            raise
        except Exception as exception:
            self._put_off = True
            if repr(exception) != self._last_failure:
                LOG.exception("the running sensors may not be the ones that should run; trying again")
            self._last_failure = repr(exception)
        else:
            self._last_failure = ""

    def _reconcile(self) -> None:
        snapshot = self._targets.snapshot
        if snapshot is None:
            return
        states, desired, only = self._children.states, self._targets.desired, self._setup.only
        if only is not None and not desired and not states:
            raise SensorNotFound(f"sensor {only} is not registered: check the name, or run st2ctl reload")
        todo = plan(desired, states, self._setup.clock(), self._settings.changes_at_once)
        self._put_off = todo.held_back
        failures = [error for action in todo.actions if (error := self._try_to_act(action, snapshot))]
        if failures:
            raise failures[0]

    def _try_to_act(self, action: Action, snapshot: Snapshot) -> Exception | None:
        """Act for one sensor. Returns its error, so that the other sensors are handled first."""
        try:
            self._act(action, snapshot)
        except Exception as exception:  # noqa: BLE001 (raised after the others were handled)
            return exception
        return None

    def _act(self, action: Action, snapshot: Snapshot) -> None:
        ref = action.ref
        if action.do is ActionKind.START:
            self._parts.pipeline.outbox.welcome(ref)
            self._parts.neighbours.check(ref)
            overrides = self._parts.operations.overridden(ref, self._targets.overrides_of(ref))
            self._children.start(snapshot.sensors[ref], overrides, self._targets.desired[ref])
        elif action.do is ActionKind.FORGET:
            self._children.forget(ref)
        else:
            restarts = action.do is ActionKind.RESTART
            self._children.stop(ref, "it has changed" if restarts else self._targets.why_unwanted(ref))

    async def _sleep(self) -> None:
        """Wait until something happens, a start falls due, or it is time to read storage."""
        now = self._setup.clock()
        if self._put_off:
            until = now + RETRY_INTERVAL
        else:
            due = next_due(self._children.states)
            until = self._parts.refresh.look_at if due is None else min(due, self._parts.refresh.look_at)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), max(0.0, until - now))
        if self._put_off:
            await asyncio.sleep(WAKE_DELAY)
        self._wake.clear()

    async def _stop_all(self) -> None:
        membership = self._targets.membership
        if membership is not None:
            # Containers that learn of this late take the sensors later. The sensors must stop in time in any case.
            with suppress(TimeoutError):
                async with asyncio.timeout(ANNOUNCE_TIMEOUT):
                    await membership.announce()
        self._parts.pipeline.outbox.give_up_waiting()
        self._parts.database_calls.give_up()
        if self._children.alive:
            LOG.info("stopping %d sensors", len(self._children.alive))
        self._children.stop_all("the container is stopping")
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.stop_timeout + KILL_TIMEOUT):
                while self._children.alive:
                    await self._wake.wait()
                    self._wake.clear()
        if self._children.alive:
            left = ", ".join(self._children.alive)
            LOG.error("%s cannot be ended, not even by SIGKILL; the container ends without waiting for them", left)
        if membership is not None:
            await membership.close()

    def _learned(self, snapshot: Snapshot) -> None:
        """Pass changes in storage on to the other parts and to the running sensors."""
        if not self._has_learned and not snapshot.listed:
            LOG.info("no sensor is registered; st2ctl reload --register-all registers the packs")
        self._has_learned = True
        self._parts.catalogue.learn(
            snapshot.trigger_types.values(), snapshot.triggers.values(), snapshot.refusals.values()
        )
        self._parts.pipeline.dispatcher.limit(self._targets.limits())
        self._parts.methods.tell_triggers()
        self._parts.interface.keep_only(frozenset(snapshot.sensors))
        private = [ref for ref in snapshot.sensors if self._targets.overrides_of(ref).payloads == "none"]
        self._parts.pipeline.history.keep_private(frozenset(private))
        for ref in self._children.states:
            self._parts.operations.override(ref, self._targets.overrides_of(ref))
