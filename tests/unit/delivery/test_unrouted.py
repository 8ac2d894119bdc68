"""Triggers that no queue takes are kept as unrouted, are warned about once per routing key, and delay no others."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from st2sensor.delivery.dead_letters import DeadLetters
from st2sensor.delivery.publisher import PublisherThread
from st2sensor.delivery.unrouted import told
from st2sensor.dispatch.traffic import Traffic
from st2sensor.errors import RoutingKeyForbidden
from st2sensor.outbox.outbox import Outbox
from st2sensor.settings import Outbox as Options
from st2sensor.transport.base import Message
from tests.plugins.patience import SOON
from tests.support.servers.waiting import eventually
from tests.unit.delivery.test_held_back import encode, of
from tests.unit.outbox.test_outbox import Broker, entry, on_disk, put


class Routing(Broker):
    """Has queues for some routing keys only, and may refuse others."""

    def __init__(self, *without: str) -> None:
        super().__init__()
        self.without = set(without)
        self.forbidden: set[str] = set()

    def publish(self, messages: Sequence[Message]) -> Sequence[int]:
        unrouted: list[int] = []
        for index, message in enumerate(messages):
            if message.routing_key in self.forbidden:
                raise RoutingKeyForbidden(
                    "refused",
                    routing_key=message.routing_key,
                    confirmed=tuple(range(index)),
                    unrouted=tuple(unrouted),
                )
            if message.routing_key in self.without:
                unrouted.append(index)
            else:
                self.taken.append(message.body.decode())
        return unrouted


def delivered(broker: Broker, kind: str) -> list[str]:
    return [body for body in list(broker.taken) if body.startswith(kind)]


def kept(path: Path, state: str = "unrouted") -> list[str]:
    return [letter.entry.body for letter in DeadLetters(path).all() if letter.state == state]


def test_what_no_queue_takes_is_kept_and_blocks_nothing_behind_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, broker, traffic = tmp_path / "outbox.db", Routing("p.lost"), Traffic()
    caplog.set_level("INFO")
    with (
        closing(Outbox(path)) as outbox,
        closing(PublisherThread(outbox, broker, encode, traffic=traffic)) as delivery,
    ):
        put(outbox, *(of(kind, number) for number in range(20) for kind in ("good", "lost")))
        delivery.start()
        assert outbox.wait_empty(SOON)
        assert delivered(broker, "good") == [f"good{number}" for number in range(20)]
        eventually("they are kept", lambda: kept(path) == [f"lost{number}" for number in range(20)])
        assert kept(path, "dead") == []
        assert outbox.unrouted == 20
        assert traffic.not_routed("p.lost") == 20
        assert traffic.dead("p.lost") == 0
        assert delivery.unrouted_keys == ("p.lost",)
        put(outbox, of("lost", 20))
        eventually("it is kept as well", lambda: outbox.unrouted == 21)
        assert caplog.text.count("takes the routing key p.lost. These triggers") == 1
        broker.without.clear()
        put(outbox, of("lost", 21))
        eventually("it is taken", lambda: delivered(broker, "lost") == ["lost21"])
        eventually("that is noticed", lambda: delivery.unrouted_keys == ())
        assert "takes the routing key p.lost again" in caplog.text
    assert on_disk(path) == []
    (letter, *_) = DeadLetters(path).all()
    assert letter.entry.reason == "no queue on the exchange e takes the routing key"


def test_a_message_that_was_returned_before_a_refusal_is_kept_once(tmp_path: Path) -> None:
    path, broker = tmp_path / "outbox.db", Routing("p.lost")
    broker.forbidden.add("p.bad")
    with closing(Outbox(path)) as outbox, closing(PublisherThread(outbox, broker, encode)) as delivery:
        put(outbox, of("good", 0), of("lost", 0), of("bad", 0), of("lost", 1), of("good", 1))
        delivery.start()
        eventually("the others are sent", lambda: delivered(broker, "good") == ["good0", "good1"])
        eventually("both are kept", lambda: kept(path) == ["lost0", "lost1"])
        eventually("one is held back", lambda: outbox.depth == 1)


def test_unrouted_triggers_have_a_bound_of_their_own(tmp_path: Path) -> None:
    path, broker = tmp_path / "outbox.db", Routing("p.lost")
    options = Options(unrouted_max_number=3, dead_letters_max_number=2)
    with closing(Outbox(path, options)) as outbox, closing(PublisherThread(outbox, broker, encode)) as delivery:
        put(outbox, entry(1, reason="odd"), entry(2, reason="odd"))
        delivery.start()
        for number in range(5):
            put(outbox, of("lost", number))
            assert outbox.wait_empty(SOON)
        eventually("the newest are kept", lambda: kept(path) == ["lost2", "lost3", "lost4"])
        put(outbox, entry(3, reason="odd"))
        assert kept(path, "dead") == ["2", "3"]
        assert len(kept(path)) == 3
    by_size = Options(unrouted_max_size=2 * 300)
    with closing(Outbox(path, by_size)) as outbox:
        eventually("the oldest are deleted by size", lambda: kept(path) == ["lost3", "lost4"])
        assert kept(path, "dead") == ["2", "3"]
        # A purge by another process is noticed.
        DeadLetters(path).remove([letter.id for letter in DeadLetters(path).all() if letter.state == "unrouted"])
        eventually("the purge is noticed", lambda: outbox.unrouted == 0)
    with closing(Outbox(path, Options(unrouted_max_age=0))) as outbox:
        put(outbox, replace(entry(9, reason="none"), is_unrouted=True))
        assert kept(path) == []
        assert kept(path, "dead") == ["2", "3"]


def test_a_text_names_the_routing_keys_and_the_remedy() -> None:
    assert told(0, ("a",)) == ""
    assert told(1, ()).startswith("no queue took 1 trigger; declare a durable queue")
    assert "(routing keys a, b, c and 1 more)" in told(5, ("a", "b", "c", "d"))
    assert "st2sensor dead-letters replay --all --state unrouted" in told(5, ())
