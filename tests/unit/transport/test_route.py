"""Bindings of topic exchanges."""

from __future__ import annotations

import pytest

from st2sensor.transport.route import QueueState, fits


@pytest.mark.parametrize(
    ("pattern", "key", "result"),
    [
        ("#", "trigger_instance", True),
        ("#", "net.event", True),
        ("net.event", "net.event", True),
        ("net.*", "net.event", True),
        ("net.*", "net.disk.event", False),
        ("net.#", "net", True),
        ("net.#", "net.disk.event", True),
        ("#.event", "event", True),
        ("#.event", "net.disk.event", True),
        ("#.event", "net.disk.events", False),
        ("*.#.x", "a.b.c.x", True),
        ("*.#.x", "x", False),
        ("trigger_instance", "net.event", False),
        ("", "", True),
    ],
)
def test_a_binding_fits_as_in_amqp(pattern: str, key: str, result: bool) -> None:
    assert fits(pattern, key) is result


def test_many_wildcards_take_no_time() -> None:
    assert not fits(".".join(["#"] * 50 + ["x"]), ".".join("a" * 200))


def test_unknown_bindings_count_as_all() -> None:
    queue = QueueState(name="q", bindings=None, messages=None, consumers=None)
    assert queue.gets("anything")
