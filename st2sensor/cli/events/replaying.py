"""Publish events of the history again: with the same message_id, and in the order in which they left the outbox."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import click

from st2sensor.cli.events.publishing import REMEDY, objections, registered
from st2sensor.cli.events.target import Target
from st2sensor.delivery.dead_letters import DeadLetters
from st2sensor.delivery.messages import message_of
from st2sensor.dispatch.event import Event
from st2sensor.errors import MessageNotTaken, MessageRefused, RoutingKeyForbidden
from st2sensor.history.event import Recorded, State
from st2sensor.history.filters import Filters
from st2sensor.history.reader import History
from st2sensor.portable import rpc
from st2sensor.settings import Settings
from st2sensor.transport import open_transport
from st2sensor.transport.base import COMMAND, Message, Publisher

WINDOW, WINDOW_BYTES = 100, 4_000_000
"""Maximum numbers of events and of bytes that are published together; a single event may be larger."""

STEP = 0.1
"""Seconds between two windows if the rate is limited."""

HEARTBEAT = 1.0
"""Maximum number of seconds between two heartbeats to the broker."""

TOLD_EVERY = 10.0
"""Seconds between two progress lines."""

NOT_KEPT = "the payload was not kept; [history] payloads = full keeps the payloads of future events"


@dataclass(slots=True)
class Tally:
    """The progress of a replay.

    :ivar skipped: numbers of events by the reason why they were not published.
    :ivar cursor: where to continue; empty at the beginning.
    """

    published: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    cursor: str = ""


class Replay:
    """A replay.

    :param target: where to publish; None to publish each event to the exchange and routing key of today's
        configuration.
    :param rate: events in a second; None for no limit.
    :param force: whether to publish dead letters even if they do not fit their schema.
    :param publishes: whether events are published; if not, they are only counted.
    """

    def __init__(
        self,
        settings: Settings,
        history: History,
        *,
        target: Target | None,
        rate: float | None,
        force: bool,
        publishes: bool,
    ) -> None:
        self._settings = settings
        self._history = history
        self._target = target
        self._rate = rate
        self._force = force
        self._publishes = publishes
        self._letters = DeadLetters(settings.container.state_dir / "outbox.db")
        self.tally = Tally()

    def run(self, filters: Filters, after: str | None) -> None:
        """Replay events after a cursor. Raises HistoryError, OutboxError, StorageError, TransportError."""
        with closing(open_transport(self._settings.messaging).publisher(COMMAND)) as publisher:
            if self._publishes:
                publisher.connect()
            began = told = time.monotonic()
            seen = 0
            for window in self._windows(self._history.select(filters, after)):
                self._replay(publisher, window)
                self.tally.cursor = self._history.cursor(window[-1].seq)
                seen += len(window)
                if time.monotonic() - told >= TOLD_EVERY:
                    told = time.monotonic()
                    click.echo(f"{self.tally.published} published; {self.resume()}", err=True)
                if self._rate is not None and self._publishes:
                    wait_until(began + seen / self._rate, publisher)

    def resume(self) -> str:
        """Say how to continue."""
        return f"--after {self.tally.cursor} continues here" if self.tally.cursor else "nothing was replayed yet"

    def _windows(self, events: Iterator[Recorded]) -> Iterator[list[Recorded]]:
        most = WINDOW if self._rate is None else max(1, min(WINDOW, int(self._rate * STEP)))
        window: list[Recorded] = []
        size = 0
        for event in events:
            if window and (len(window) >= most or size + len(event.body or "") > WINDOW_BYTES):
                yield window
                window, size = [], 0
            window.append(event)
            size += len(event.body or "")
        if window:
            yield window

    def _replay(self, publisher: Publisher, window: Sequence[Recorded]) -> None:
        ready = self._ready(window)
        if not self._publishes:
            self.tally.published += len(ready)
            return
        taken = self._published(publisher, ready) if ready else []
        self.tally.published += len(taken)
        ids = [event.message_id for event in taken]
        self._history.add_replays(ids, time.time(), self._where(ready[0][1]) if ready else "")
        if self._target is None:
            # These events are no longer dead letters: nobody should publish them a second time.
            self._letters.remove_events([event.message_id for event in taken if event.state is not State.CONFIRMED])

    def _where(self, message: Message) -> str:
        return str(self._target or Target(exchange=message.exchange, routing_key=message.routing_key))

    def _ready(self, window: Sequence[Recorded]) -> list[tuple[Recorded, Message]]:
        """Return the events that can be published, with their messages."""
        refused = {} if self._force else self._objections([event for event in window if event.state is State.DEAD])
        found = []
        now = time.time()
        for event in window:
            entry = event.entry
            if entry is None:
                self.tally.skipped[NOT_KEPT] += 1
                continue
            if event.seq in refused:
                self.tally.skipped[refused[event.seq]] += 1
                continue
            try:
                message = message_of(entry, self._settings.messaging, replayed=now)
            except (MessageRefused, TypeError, ValueError, KeyError, RecursionError) as problem:
                self.tally.skipped[str(problem)] += 1
                continue
            found.append((event, message if self._target is None else self._target.addressed(message)))
        return found

    def _objections(self, dead: Sequence[Recorded]) -> dict[int, str]:
        """Return why dead letters do not fit the types that are registered today, by their `seq`."""
        seqs, events, found = [], [], {}
        for letter in dead:
            try:
                body = json.loads(letter.body or "")
                event = Event(trigger=body["trigger"], payload=rpc.body(body["payload"]), tagged=letter.tagged)
            except (ValueError, KeyError, TypeError, RecursionError):
                if letter.body is not None:
                    found[letter.seq] = "the trigger cannot be read"
                continue
            seqs.append(letter.seq)
            events.append(event)
        if events:
            reasons = objections(self._settings, events, registered(self._settings))
            found |= {seq: reason for seq, reason in zip(seqs, reasons, strict=True) if reason is not None}
        return found

    def _published(self, publisher: Publisher, ready: Sequence[tuple[Recorded, Message]]) -> list[Recorded]:
        """Publish events; return the accepted ones."""
        try:
            unrouted = set(publisher.publish([message for _, message in ready]))
        except RoutingKeyForbidden:
            raise
        except (MessageRefused, MessageNotTaken) as problem:
            # The broker closes the channel when it refuses a message.
            publisher.connect()
            if len(ready) > 1:
                return [event for pair in ready for event in self._published(publisher, [pair])]
            self._left(ready[0][1], str(problem))
            return []
        for index in unrouted:
            message = ready[index][1]
            self._left(message, f"no queue takes {self._where(message)}; {REMEDY}")
        return [event for index, (event, _) in enumerate(ready) if index not in unrouted]

    def _left(self, message: Message, reason: str) -> None:
        """Note an event that was not accepted. Raises MessageNotTaken if the user names a target, and it has accepted
        no event so far."""
        if self._target is not None and not self.tally.published:
            raise MessageNotTaken(f"nothing can be published to {self._where(message)}: {reason}")
        self.tally.skipped[reason] += 1


def wait_until(due: float, publisher: Publisher) -> None:
    """Wait until a time on the monotonic clock, and keep the connection alive. Raises BrokerUnavailable."""
    while (remaining := due - time.monotonic()) > 0:
        time.sleep(min(remaining, HEARTBEAT))
        publisher.keep_alive()
