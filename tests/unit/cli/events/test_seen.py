"""Messages from the exchange as trigger instances."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from st2sensor import config
from st2sensor.cli.events.seen import not_shown, seen_in
from st2sensor.storage import open_storage
from st2sensor.transport.base import Message


@pytest.mark.parametrize(
    "body", [b"{", b"{}", b"[]", b'{"trigger": "a.b", "payload": []}', b'{"trigger": 5, "payload": {}}', b"[" * 10**5]
)
def test_a_message_that_is_no_trigger_instance_is_told_and_passed_over(config_file: Path, body: bytes) -> None:
    message = Message(
        exchange="x", routing_key="", body=body, content_type="application/json", content_encoding="utf-8"
    )
    with closing(open_storage(config.load([str(config_file)]).database)) as storage:
        storage.prepare()
        assert seen_in(message, storage) is None
    assert not_shown(message).startswith(f"a message of {len(body)} bytes is not a trigger instance: ")


def test_a_trigger_that_is_named_by_its_id_alone_is_shown_by_it(config_file: Path) -> None:
    body = b'{"trigger": {"id": "6b0985"}, "payload": {}}'
    message = Message(
        exchange="x", routing_key="", body=body, content_type="application/json", content_encoding="utf-8"
    )
    with closing(open_storage(config.load([str(config_file)]).database)) as storage:
        storage.prepare()
        seen = seen_in(message, storage)
    assert seen is not None
    assert seen.trigger_type == "6b0985"
