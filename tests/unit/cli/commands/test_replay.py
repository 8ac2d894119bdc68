"""`st2sensor replay` of the history: what it publishes, in which order, and what it says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from st2sensor import config
from st2sensor.cli.declarations.authoring import replay
from st2sensor.delivery.dead_letters import DeadLetters
from st2sensor.errors import BadCursor, BrokerUnavailable, ConfigError, HistoryError
from st2sensor.history.event import Outcome, State
from st2sensor.history.file import NAME
from st2sensor.history.reader import History
from st2sensor.models import Trigger, TriggerType
from st2sensor.outbox.database.dead_table import BURY
from st2sensor.outbox.database.file import open_file
from st2sensor.outbox.database.rows import columns_of
from st2sensor.settings import Settings
from st2sensor.storage import open_storage
from st2sensor.transport import open_transport
from st2sensor.transport.base import CREATED, Message, Subscription
from st2sensor.transport.local import LocalPublisher
from tests.support.control_peer import run, said
from tests.unit.history.test_writer import of, outcome, write

ALL = ("replay", "--since", "1970-01-01T00:00:00Z")
DEAD = (*ALL, "--state", "dead")


@pytest.fixture
def settings(config_file: Path) -> Settings:
    found = config.load([str(config_file)])
    with closing(open_file(found.container.state_dir / "outbox.db", "full")):
        pass
    return found


@pytest.fixture
def subscription(settings: Settings) -> Iterator[Subscription]:
    exchange = f"{settings.messaging.prefix}.trigger_instances_dispatch"
    with closing(open_transport(settings.messaging).subscription([exchange, "elsewhere"])) as opened:
        opened.connect()
        yield opened


def keep(settings: Settings, *outcomes: Outcome) -> None:
    write(settings.container.state_dir / NAME, outcomes)


def dead(number: int, payload: object) -> Outcome:
    body = json.dumps({"trigger": "linux.file", "payload": payload, "trace_context": None})
    return of(outcome(number, state=State.DEAD, reason="it does not fit", attempts=0), body=body)


def numbers(messages: list[Message]) -> list[int]:
    return [int(message.id or "", 16) for message in messages]


def test_events_are_published_again_in_order_with_their_ids(
    config_file: Path, settings: Settings, subscription: Subscription
) -> None:
    # They left the outbox in this order.
    keep(settings, outcome(3), outcome(1), outcome(2, state=State.UNROUTED), dead(4, {}))
    assert said(run(config_file, *ALL, "--dry-run")) == "3 would be published, 0 skipped\n"
    assert subscription.receive(0.0) == []
    assert said(run(config_file, *ALL)) == "3 published, 0 skipped\n"
    found = subscription.receive(1.0)
    assert numbers(found) == [3, 1, 2]
    assert found[0].headers[CREATED] == "3000000"
    assert re.fullmatch(r"\d{16}", found[0].headers["st2sensor-replayed"])
    with closing(History(settings.container.state_dir / NAME)) as history:
        ((_, target),) = history.replays(outcome(3).entry.message_id)
    assert target == f"{found[0].exchange}:{found[0].routing_key}"
    assert "replayed to" in said(run(config_file, "event", outcome(3).entry.message_id))


def test_options_choose_events_and_their_target(
    config_file: Path, settings: Settings, subscription: Subscription
) -> None:
    keep(settings, outcome(1), of(outcome(2), sensor="linux.Other"), outcome(3), outcome(4))
    arguments = ("--until", "1970-01-01T00:00:04Z", "--sensor", "linux.Tail", "--where", "payload.line=one")
    assert said(run(config_file, "replay", *arguments, "--to", "elsewhere:key", "--rate", "1000/s")).startswith("2 ")
    found = subscription.receive(1.0)
    assert [(message.exchange, message.routing_key) for message in found] == [("elsewhere", "key")] * 2
    assert numbers(found) == [1, 3]


def test_a_replay_continues_after_a_cursor(
    config_file: Path, settings: Settings, subscription: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(settings, *(outcome(number) for number in range(1, 6)))
    publish, windows = LocalPublisher.publish, []

    def fails_later(self: LocalPublisher, messages: list[Message]) -> object:
        windows.append(messages)
        if len(windows) > 2:
            raise BrokerUnavailable("it is gone")
        return publish(self, messages)

    monkeypatch.setattr(LocalPublisher, "publish", fails_later)
    done = run(config_file, *ALL, "--rate", "20/s")
    assert isinstance(done.exception, BrokerUnavailable)
    monkeypatch.undo()
    (cursor,) = re.findall(r"stopped: \d+ published; --after (\S+) continues here", done.stderr)
    told = json.loads(said(run(config_file, *ALL, "--after", cursor, "--json")))
    assert told["skipped"] == 0
    assert numbers(subscription.receive(1.0)) == [1, 2, 3, 4, 5]
    assert told["cursor"].endswith(".5")
    assert isinstance(run(config_file, *ALL, "--after", "x").exception, BadCursor)


def test_dead_letters_that_fit_today_are_published_and_no_longer_dead(
    config_file: Path, settings: Settings, subscription: Subscription, capsys: pytest.CaptureFixture[str]
) -> None:
    schema = {"type": "object", "properties": {"line": {"type": "string"}}, "additionalProperties": False}
    with closing(open_storage(settings.database)) as storage:
        storage.prepare()
        storage.put(TriggerType(pack="linux", name="file", payload_schema=schema))
        storage.put(Trigger(pack="linux", name="file", type="linux.file"))
    fits, does_not = dead(1, {"line": "x"}), dead(2, {"line": 5})
    keep(settings, fits, does_not, outcome(3))
    outbox = settings.container.state_dir / "outbox.db"
    with closing(open_file(outbox, "full")) as connection:
        for letter in (fits, does_not):
            connection.execute(BURY, (*columns_of(letter.entry), "it does not fit", 0.0, False))
    assert replay.main(list(DEAD[1:]), obj=[str(config_file)], standalone_mode=False) == 1
    told = capsys.readouterr()
    assert told.out == "1 published, 1 skipped\n"
    assert "payload_schema" in told.err
    assert numbers(subscription.receive(1.0)) == [1]
    assert [letter.entry.message_id for letter in DeadLetters(outbox).all()] == [does_not.entry.message_id]
    assert said(run(config_file, *DEAD, "--force")) == "2 published, 0 skipped\n"


def test_events_without_their_payloads_are_skipped(
    config_file: Path, settings: Settings, subscription: Subscription, capsys: pytest.CaptureFixture[str]
) -> None:
    write(settings.container.state_dir / NAME, [outcome(1)], replace(settings.history, payloads="none"))
    assert replay.main(list(ALL[1:]), obj=[str(config_file)], standalone_mode=False) == 1
    assert subscription.receive(0.0) == []
    assert "1 event skipped: the payload was not kept; [history] payloads = full" in capsys.readouterr().err


def test_without_a_history_replay_says_what_it_needs(config_file: Path) -> None:
    with config_file.open("a") as file:
        file.write("[history]\nenable = false\n")
    done = run(config_file, *ALL)
    assert isinstance(done.exception, HistoryError)
    assert "set [history] enable = true" in str(done.exception)


@pytest.mark.parametrize(
    "arguments",
    [(), ("--since", "1h", "--speed", "2"), ("--state", "waiting"), ("--since", "1h", "--rate", "0/s")],
)
def test_options_that_do_not_go_together_are_refused(config_file: Path, arguments: tuple[str, ...]) -> None:
    assert run(config_file, "replay", *arguments).exit_code == 2


@pytest.mark.parametrize("target", [":key", "exchange:", "", "a_queue"])
def test_a_target_that_does_not_exist_is_refused(config_file: Path, target: str) -> None:
    assert isinstance(run(config_file, *ALL, "--to", target).exception, ConfigError)
