"""Listens for announcements. Each is only a hint to read storage: its body is never decoded.

Containers also introduce themselves to each other here, in messages under a routing key of their own.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence

from st2sensor import backoff
from st2sensor.errors import BrokerUnavailable, St2SensorError
from st2sensor.transport.base import COMMAND, Message, Subscription, Transport
from st2sensor.transport.topology import CONTAINERS

LOG = logging.getLogger("st2sensor.storage")

STOP_CHECK_INTERVAL = 1.0
"""Maximum number of seconds before checking whether to stop."""

MAX_UNSAID = 100
"""Maximum number of messages that wait to be published. Beyond it, the oldest are dropped."""


class Watch:
    """Listens in a thread of its own.

    :param exchanges: the exchanges to listen on.
    :param changed: called in the thread after announcements, and after a reconnect, since some may have been missed.
    :param heard: called in the thread with each message of a container.
    :param retry_wait: maximum number of seconds between attempts to reach the broker.
    """

    def __init__(
        self,
        transport: Transport,
        exchanges: Sequence[str],
        changed: Callable[[], None],
        *,
        heard: Callable[[Message], None],
        retry_wait: float,
    ) -> None:
        self._transport = transport
        self._subscription = transport.subscription(exchanges)
        self._changed = changed
        self._heard = heard
        self._retry_wait = retry_wait
        self._unsaid: deque[Message] = deque(maxlen=MAX_UNSAID)
        self._lasting: Message | None = None
        """The message that is published again after each reconnect."""
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def say(self, message: Message, *, lasting: bool) -> None:
        """Publish a message soon, once this container listens itself. The message may be lost. For any thread.

        :param lasting: publish it again after each reconnect, in place of the previous such message.
        """
        if lasting:
            self._lasting = message
        self._unsaid.append(message)

    def close(self) -> None:
        """Stop within STOP_CHECK_INTERVAL seconds. Does not wait."""
        self._closing.set()

    def _run(self) -> None:
        failures = 0
        while not self._closing.is_set():
            try:
                self._subscription.connect()
                failures = 0
                self._listen(self._subscription)
            except BrokerUnavailable as exception:
                failures += 1
                LOG.debug("%s; changes are noticed at the next resync", exception)
                self._closing.wait(backoff.reconnect(failures, self._retry_wait))
            except Exception:
                failures += 1
                LOG.exception("cannot listen for announcements now; changes are noticed at the next resync")
                self._closing.wait(backoff.reconnect(failures, self._retry_wait))
        self._subscription.close()

    def _listen(self, subscription: Subscription) -> None:
        self._changed()
        if self._lasting is not None and self._lasting not in self._unsaid:
            self._unsaid.append(self._lasting)
        while not self._closing.is_set():
            if self._unsaid:
                self._publish([self._unsaid.popleft() for _ in range(len(self._unsaid))])
            received = subscription.receive(STOP_CHECK_INTERVAL)
            for message in received:
                if message.routing_key == CONTAINERS:
                    self._heard(message)
            if any(message.routing_key != CONTAINERS for message in received):
                self._changed()

    def _publish(self, messages: Sequence[Message]) -> None:
        """Publish over a connection of its own: if the broker refuses the messages, this thread still listens."""
        publisher = self._transport.publisher(COMMAND)
        try:
            publisher.connect()
            publisher.publish(messages)
        except St2SensorError as exception:
            LOG.debug("other containers do not learn of this one: %s", exception)
        finally:
            publisher.close()
