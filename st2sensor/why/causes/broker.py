"""Causes at the broker: exchange, queues, routing key, virtual host, serializer. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator

from st2sensor.delivery.audience import misfit
from st2sensor.transport.route import Route
from st2sensor.why.facts import Facts
from st2sensor.why.finding import Finding, cause, note

BACKLOG = 1000
"""Number of messages in a queue that is worth a note."""


def of_route(facts: Facts) -> Iterator[Finding]:
    """Yield all problems on the route of events through the broker."""
    route, publishing = facts.route, facts.publishing
    if facts.broker_problem:
        yield cause(
            "broker-unreachable",
            facts.broker_problem,
            "start the broker, or correct [messaging] url: host, password and virtual host",
        )
    if route is None:
        return
    if not route.exists:
        found = f"; there is {', '.join(route.others)}" if route.others else ""
        yield cause(
            "no-exchange",
            f"there is no exchange {route.exchange} in virtual host {route.virtual_host} of {route.address}{found}",
            "give [messaging] prefix, and the virtual host in [messaging] url, the same values as the consumers have",
        )
        return
    if route.note:
        yield note("bindings-unknown", route.note)
    getting = [queue for queue in route.queues if queue.gets(publishing.routing_key)]
    if not route.queues:
        if route.is_complete or publishing.serializer != "json":
            yield _no_queue(route)
    elif not getting:
        bound = ", ".join(f"{queue.name} ({' '.join(queue.bindings or ())})" for queue in route.queues)
        yield cause(
            "not-bound",
            f"no queue is bound for the routing key {publishing.routing_key}: {bound}",
            "bind the queue for it, or set [messaging] routing_key",
        )
    for queue in getting:
        yield from _misfits(facts, queue.name, queue.consumers)
        if queue.messages is not None and queue.messages >= BACKLOG:
            yield note(
                "backlog",
                f"{queue.messages:,} messages wait in {queue.name}",
                "its consumers are slower than the sensors, so new events are handled late; add consumers",
            )
    if route.others and all(not queue.consumers for queue in getting):
        yield note(
            "other-exchange",
            f"nothing consumes here, but there is also {', '.join(route.others)}",
            "the consumers may use another virtual host or [messaging] prefix",
        )
    elif getting and not route.is_complete:
        yield note(
            "bindings-partly-known",
            f"{route.exchange} exists; only its queue {getting[0].name} was checked",
            "[messaging] management_url shows the others",
        )


def of_serializer(facts: Facts) -> Iterator[Finding]:
    """Yield that no rules engine evaluates JSON. Where one has the queue, `of_route` says so."""
    queues = () if facts.route is None else facts.route.queues
    if facts.publishing.serializer != "json" or any(queue.consumers and _is_engines(queue.name) for queue in queues):
        return
    uses = facts.engine is not None and facts.engine.is_there
    yield note(
        "not-evaluated",
        "nothing here evaluates rules (serializer = json); your consumer must",
        "StackStorm uses this database: if its rules engine should, set serializer = pickle first" if uses else "",
    )


def _no_queue(route: Route) -> Finding:
    if route.is_complete:
        return cause(
            "no-queue",
            f"no queue is bound to {route.exchange} in virtual host {route.virtual_host}",
            "start the consumer that declares one, or bind a queue of your own",
        )
    return cause(
        "no-queue",
        f"the rules engine's queue does not exist in virtual host {route.virtual_host}",
        "start StackStorm's rules engine there, or compare the virtual hosts in its and our [messaging] url",
    )


def _misfits(facts: Facts, queue: str, consumers: int | None) -> Iterator[Finding]:
    """Yield the problems with the consumers of a queue."""
    publishing = facts.publishing
    if not _is_engines(queue):
        if consumers == 0:
            yield cause("no-consumer", f"nothing consumes {queue}", "start its consumer")
        return
    reason = misfit(publishing.serializer, queue, consumers)
    if publishing.serializer == "json" and reason:
        yield cause("wrong-serializer", reason, "change the serializer, restart the container, then replay the events")
    elif reason:
        yield cause(
            "no-rules-engine",
            f"nothing consumes {queue}, although StackStorm's rules engine should",
            "start the rules engine; if it is running, its virtual host or prefix differs from this container's",
        )


def _is_engines(queue: str) -> bool:
    """Return whether a queue is that of StackStorm's rules engine."""
    return queue.endswith(".rules_engine")
