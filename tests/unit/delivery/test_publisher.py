"""A message that consumers cannot accept becomes a dead letter, whose reason shows no secret, and delays no others."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from st2sensor.cli.commands import dead_letters
from st2sensor.delivery.dead_letters import DeadLetters
from st2sensor.delivery.publisher import PublisherThread
from st2sensor.errors import Undeliverable
from st2sensor.outbox.entry import Entry
from st2sensor.outbox.outbox import Outbox
from st2sensor.transport.base import Message
from tests.support.servers.waiting import eventually
from tests.unit.cli.events.test_choosing import EVERYTHING
from tests.unit.delivery.test_held_back import Permitting, delivered, encode, of
from tests.unit.outbox.test_outbox import entry, put


def test_what_cannot_be_taken_is_kept_with_the_reason_and_the_others_go_on(tmp_path: Path) -> None:
    path, broker = tmp_path / "outbox.db", Permitting()

    def encoded(item: Entry) -> Message:
        if item.body.startswith("bad"):
            raise Undeliverable("an integer at 5ecre7")
        return encode(item)

    def readable(sensor: str, reason: str) -> str:
        return f"{sensor}: {reason.replace('5ecre7', '***')}"

    with (
        closing(Outbox(path)) as outbox,
        closing(PublisherThread(outbox, broker, encoded, retry_wait=0.05, readable=readable)) as delivery,
    ):
        put(outbox, *(of(kind, number) for number in range(2) for kind in ("good", "bad")))
        delivery.start()
        eventually("the others are delivered", lambda: delivered(broker, "good") == ["good0", "good1"])
        letters = eventually("both are kept", lambda: found if len(found := list(DeadLetters(path).all())) == 2 else [])
        assert [letter.entry.reason for letter in letters] == ["p.bad: an integer at ***"] * 2
        assert [letter.entry.body for letter in letters] == ["bad0", "bad1"]
        assert outbox.depth == 0


DEEP = '{"trigger": "p.t", "payload": ' + '{"a":' * 5000 + "1" + "}" * 5001


def test_a_dead_letter_that_cannot_be_read_hides_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "st2.conf"
    file.write_text(
        f"[sensorcontainer]\nstate_dir = {tmp_path}\n[database]\nconnection = sqlite:///{tmp_path}/st2.db\n"
        "[messaging]\nurl = local://\n"
    )
    good = json.dumps({"trigger": "p.t", "payload": {"n": 1}, "trace_context": None})
    with closing(Outbox(tmp_path / "outbox.db")) as outbox:
        put(outbox, *(replace(entry(number, "wrong"), body=body) for number, body in enumerate([DEEP, "{no", good])))
    dead_letters.list_([str(file)], json_output=True, **EVERYTHING)
    assert [letter["payload"] for letter in json.loads(capsys.readouterr().out)] == [None, None, {"n": 1}]
