"""The message that consumers get for an entry."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from st2sensor import config
from st2sensor.delivery.messages import FENCE, LATE, ROUTING_KEY_LIMIT, SENSOR, message_of
from st2sensor.outbox.entry import Entry
from st2sensor.settings import Messaging
from tests.unit.outbox.test_outbox import entry


@pytest.fixture
def messaging(tmp_path: Path) -> Messaging:
    file = tmp_path / "st2.conf"
    file.write_text(f"[sensorcontainer]\nstate_dir = {tmp_path}\n[messaging]\nserializer = json\n")
    return config.load([str(file)]).messaging


def of(trigger_type: str, fence: int | None = None) -> Entry:
    body = '{"trigger":"p.t","payload":{},"trace_context":null}'
    return replace(entry(1), trigger_type=trigger_type, fence=fence, body=body)


@pytest.mark.parametrize(
    ("fence", "late", "headers"),
    [
        (None, False, {}),
        (7, False, {FENCE: "7"}),
        (0, True, {FENCE: "0", LATE: "true"}),
    ],
)
def test_headers_tell_the_fence_and_whether_its_lease_was_over(
    messaging: Messaging, fence: int | None, late: bool, headers: dict[str, str]
) -> None:
    found = of("p.t", fence)
    assert message_of(found, messaging, late=late).headers == {SENSOR: found.sensor} | headers


def test_a_message_names_the_instance_that_sent_it(messaging: Messaging) -> None:
    assert message_of(replace(of("p.t"), sensor="p.S@prod"), messaging).headers == {SENSOR: "p.S@prod"}


@pytest.mark.parametrize(
    ("option", "trigger_type", "key"),
    [
        ("trigger_instance", "p.t", "trigger_instance"),
        ("trigger", "p.t", "p.t"),
        ("trigger", "p." + "x" * 300, "p." + "x" * (ROUTING_KEY_LIMIT - 2)),
        # No half character remains.
        ("trigger", "p." + "x" * 252 + "\N{SNOWMAN}", "p." + "x" * 252),
    ],
)
def test_a_routing_key_fits_amqp(messaging: Messaging, option: str, trigger_type: str, key: str) -> None:
    assert message_of(of(trigger_type), replace(messaging, routing_key=option)).routing_key == key
