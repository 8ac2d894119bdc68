"""Connects to the brokers of one cluster, declares exchanges and queues, and maps all failures to one error."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import amqp

from st2sensor.config.brokers import BrokerUrl, broker_url
from st2sensor.config.urls import shown, without_secrets
from st2sensor.errors import BrokerUnavailable, ConfigError, MessageRefused, St2SensorError
from st2sensor.settings import Tls
from st2sensor.transport.amqp.wire import Wire
from st2sensor.transport.topology import Topology

LOG = logging.getLogger("st2sensor.broker")

CONNECT_TIMEOUT = 5.0
"""Seconds to connect to a broker and to log in."""

DECLARE_TIMEOUT = 15.0
"""Seconds to declare everything after logging in."""

HEARTBEAT = 10.0
"""Seconds between heartbeats. A broker that is silent for two intervals counts as gone."""

LONGEST_REASON = 500
"""The maximum number of characters of an error text from a broker or a library."""

REFUSALS = (amqp.exceptions.PreconditionFailed, amqp.exceptions.ContentTooLarge)
"""Errors of a broker that will never accept a message."""

VERIFY = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}


class Broker:
    """A broker, or the members of one cluster.

    :param urls: the URLs of the members.
    :param tls: the TLS settings of all members; None leaves them to the URLs.
    :param login_method: the SASL mechanism; None leaves it to the broker.

    Raises ConfigError.
    """

    def __init__(self, *, urls: tuple[str, ...], tls: Tls | None = None, login_method: str | None = None) -> None:
        self._urls = urls
        try:
            self._brokers = [broker_url(url, tls, login_method) for url in urls]
        except ValueError as exception:
            raise ConfigError(str(exception)) from exception
        self._next = 0
        """The index of the member that is tried first: the one that answered last."""
        self.address = shown(*urls)
        """The URLs without passwords."""

    def opened(self, topology: Topology | None, seconds: float | None = None, **options: Any) -> Wire:
        """Connect to the first member that answers, and declare everything. Each member is tried once.

        :param topology: the names to declare; None to declare nothing.
        :param seconds: the time limit for all members together; None for the usual limits of each member.
        :param options: further options of py-amqp's connection.

        Raises the exceptions of py-amqp.
        """
        until = None if seconds is None else time.monotonic() + seconds
        last: Exception | None = None
        for count in range(len(self._brokers)):
            broker = self._brokers[(self._next + count) % len(self._brokers)]
            left = None if until is None else (until - time.monotonic()) / (len(self._brokers) - count)
            try:
                wire = _connected(broker, topology, left, options)
            except Exception as exception:  # noqa: BLE001 (a broker's answer may make a library raise anything)
                LOG.debug("%s: %s", shown(broker.url), self.said(exception))
                last = exception
            else:
                self._next = (self._next + count) % len(self._brokers)
                return wire
        assert last is not None
        raise last

    def said(self, exception: BaseException) -> str:
        """Return an exception's text for people: short, printable, and without passwords."""
        return self._readable(str(exception) or type(exception).__name__)

    def _readable(self, words: str) -> str:
        text = without_secrets(words, self._urls)
        cut = text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}..."
        return "".join(character if character.isprintable() else " " for character in cut)

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Turn all exceptions of py-amqp into BrokerUnavailable, including those for answers that are not AMQP."""
        try:
            yield
        except St2SensorError:
            raise
        except (amqp.exceptions.ChannelError, amqp.exceptions.NotAllowed) as exception:
            reason = self._readable(str(exception.reply_text or exception)) + _remedy(exception)
            raise BrokerUnavailable(f"the broker at {self.address} answers but refuses: {reason}") from exception
        except Exception as exception:
            raise BrokerUnavailable(
                f"cannot reach the broker at {self.address}: {self.said(exception)}; "
                "is it running, and is [messaging] url right?"
            ) from exception

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Turn a broker's refusal of a message, which is final, into MessageRefused."""
        try:
            yield
        except REFUSALS as exception:
            raise MessageRefused(f"the broker at {self.address} refused it: {self.said(exception)}") from exception


def _remedy(exception: amqp.exceptions.AMQPError) -> str:
    """Return the end of a message about a refusal; empty if only the broker's words say what to do."""
    text = str(exception.reply_text or "").lower()
    if isinstance(exception, amqp.exceptions.NotAllowed) and "vhost" in text:
        return "; check the virtual host in [messaging] url: does it exist, and may this user use it?"
    if not isinstance(exception, amqp.exceptions.AccessRefused) or "access to topic" in text:
        return ""
    if "login" in text:
        return "; check user and password in [messaging] url"
    return "; give this user the permission, with rabbitmqctl set_permissions"


def _connected(broker: BrokerUrl, topology: Topology | None, seconds: float | None, options: dict[str, Any]) -> Wire:
    began = time.monotonic()
    host = f"[{broker.host}]" if ":" in broker.host else broker.host
    wire = Wire(
        f"{host}:{broker.port}",
        userid=broker.user,
        password=broker.password,
        virtual_host=broker.virtual_host,
        login_method=broker.login_method,
        heartbeat=broker.heartbeat or HEARTBEAT,
        ssl=None if broker.tls is None else _context(broker.tls),
        **options,
    )
    try:
        wire.open(seconds or broker.connect_timeout or CONNECT_TIMEOUT)
        left = DECLARE_TIMEOUT if seconds is None else seconds - (time.monotonic() - began)
        if topology is not None:
            with wire.within(left, "answered"):
                declare(wire, topology)
    except BaseException:
        wire.drop()
        raise
    return wire


def _context(tls: Tls) -> ssl.SSLContext:
    """Return the TLS context. The socket checks the certificate for the name of its own broker."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    verify = VERIFY[tls.verify]
    # Verification cannot be switched off while the host name is checked.
    context.check_hostname = False
    context.verify_mode = verify
    context.check_hostname = tls.check_hostname and verify is not ssl.CERT_NONE
    if tls.certificate_file:
        # Without a password function OpenSSL would ask the terminal for an encrypted key's password, and wait.
        context.load_cert_chain(tls.certificate_file, tls.key_file, password=lambda: "")
    if tls.ca_file:
        context.load_verify_locations(tls.ca_file)
    elif verify is not ssl.CERT_NONE:
        context.load_default_certs()
    return context


def declare(wire: Wire, topology: Topology) -> None:
    """Create StackStorm's exchanges and, for StackStorm, the rules engine's queue, so that the first messages are kept.

    Without StackStorm nothing would ever empty that queue. Existing exchanges and queues are not changed: operators may
    have given the queue another type or a policy.
    """
    for exchange in topology.exchanges:
        if not _exists(wire, "exchange_declare", exchange, "topic"):
            with wire.channel() as channel:
                channel.exchange_declare(exchange, "topic", durable=True, auto_delete=False)
    if not topology.feeds_stackstorm:
        return
    if not _exists(wire, "queue_declare", topology.rules_engine):
        with wire.channel() as channel:
            channel.queue_declare(topology.rules_engine, durable=True, auto_delete=False, exclusive=False)
    with wire.channel() as channel:
        channel.queue_bind(topology.rules_engine, topology.dispatch, routing_key="#")


def _exists(wire: Wire, declaration: str, *arguments: str) -> bool:
    """Return whether an exchange or queue exists. If it does not, the broker closes the channel."""
    channel = wire.channel()
    try:
        getattr(channel, declaration)(*arguments, passive=True)
    except amqp.exceptions.NotFound:
        return False
    channel.close()
    return True


def consumers(wire: Wire, queue: str) -> int | None:
    """Return the number of a queue's consumers; None if the broker does not report it."""
    channel = wire.channel()
    try:
        count: int = channel.queue_declare(queue, passive=True).consumer_count
    except amqp.exceptions.ChannelError:
        return None
    channel.close()
    return count
