"""Properties from a template equal those of py-amqp, byte for byte."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import amqp
import pytest

from st2sensor.transport.amqp.envelope import Envelope
from st2sensor.transport.base import CREATED, Message

HEADERS: list[Mapping[str, str]] = [
    {},
    {"st2sensor-fence": "7"},
    {"st2sensor-fence": "8", "st2sensor-late": "true"},
    {"compression": "zstd"},
]

TIMES = [None, 0.0, 5.25, 1_800_000_000.5, 1_800_000_001.75]


@pytest.mark.parametrize("identifier", [None, "", "a" * 32, "é" * 127, "x" * 255])
def test_a_template_gives_the_bytes_of_py_amqp(identifier: str | None) -> None:
    types = [("application/json", "utf-8"), ("application/x-python-serialize", "binary")]
    for (content_type, encoding), headers, created in itertools.product(types, HEADERS, TIMES):
        sent: dict[str, Any] = {} if created is None else {CREATED: str(int(created * 1e6))}
        known = {} if created is None else {"timestamp": int(created)}
        message = Message(
            exchange="e",
            routing_key="k",
            body=b"{}",
            content_type=content_type,
            content_encoding=encoding,
            id=identifier,
            headers=dict(headers),
            created=created,
        )
        expected = amqp.Message(
            b"{}",
            content_type=content_type,
            content_encoding=encoding,
            application_headers=sent | dict(headers),
            delivery_mode=2,
            priority=0,
            **({} if identifier is None else {"message_id": identifier}),
            **known,
        )
        # The second one comes from the cache.
        for _ in range(2):
            assert Envelope(message)._serialize_properties() == expected._serialize_properties()
            assert Envelope(message).body == b"{}"


def test_an_id_that_amqp_cannot_carry_is_refused() -> None:
    message = Message(exchange="e", routing_key="k", body=b"", content_type="t", content_encoding="c", id="x" * 256)
    with pytest.raises(OverflowError):
        Envelope(message)
