"""Whether the serializer fits the consumers of triggers."""

from __future__ import annotations

import logging

import pytest

from st2sensor.delivery.audience import INTERVAL, Audience, misfit
from tests.unit.outbox.test_outbox import Broker

QUEUE = "st2.trigger_instances_dispatch.rules_engine"


@pytest.mark.parametrize(
    ("serializer", "consumers", "said"),
    [
        ("json", 2, "serializer = json does not fit: 2 consumers are on"),
        ("json", 0, ""),
        ("pickle", 1, ""),
        ("pickle", 0, "serializer = pickle does not fit: nobody consumes"),
        ("json", None, ""),
        ("pickle", None, ""),
    ],
)
def test_json_fits_nobody_on_the_queue_and_pickle_somebody(serializer: str, consumers: int | None, said: str) -> None:
    reason = misfit(serializer, QUEUE, consumers)
    assert said in reason
    assert bool(said) is bool(reason)


class Consumed(Broker):
    """:ivar consuming: the number of the queue's consumers."""

    consuming: int | None = 0

    def consumers(self) -> int | None:
        return self.consuming


def test_it_is_told_once_and_again_when_it_fits(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    now = [0.0]
    audience = Audience("pickle", QUEUE, clock=lambda: now[0])
    broker = Consumed()

    def looked(consumers: int, after: float = INTERVAL) -> tuple[list[str], bool]:
        caplog.clear()
        broker.consuming = consumers
        now[0] += after
        audience.look(broker)
        return [record.levelname for record in caplog.records], audience.health.ok

    assert looked(0, after=0.0) == (["WARNING"], False)
    since = audience.health.since
    assert looked(0) == ([], False)
    assert audience.health.since == since
    assert looked(1) == (["INFO"], True)
    # The consumers are not counted more often than that.
    assert looked(0, after=INTERVAL / 2) == ([], True)
    assert looked(0, after=INTERVAL / 2) == (["WARNING"], False)
