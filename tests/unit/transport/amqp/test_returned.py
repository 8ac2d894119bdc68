"""A returned message is found by its id and routing key, in the order of publishing."""

from __future__ import annotations

from st2sensor.transport.amqp.returned import Returned
from st2sensor.transport.base import Message


def message(identifier: str | None, key: str) -> Message:
    return Message(
        exchange="e", routing_key=key, body=b"", content_type="t", content_encoding="c", id=identifier, mandatory=True
    )


def test_each_return_names_the_first_message_that_it_can_mean() -> None:
    batch = [message("a", "k"), message("b", "k"), message("a", "k"), message("a", "other")]
    returned = Returned(batch)
    returned.add("a", "other")
    returned.add("a", "k")
    assert list(returned.indexes) == [0, 3]
    returned.add("a", "k")
    assert list(returned.indexes) == [0, 2, 3]


def test_a_return_of_another_batch_names_nothing() -> None:
    returned = Returned([message("a", "k")])
    returned.add("b", "k")
    returned.add(None, "k")
    assert not returned.indexes
