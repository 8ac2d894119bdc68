"""`st2sensor dead-letters`, rendered from an outbox."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from st2sensor import config
from st2sensor.errors import DeadLetterNotFound
from st2sensor.outbox.database.dead_table import BURY
from st2sensor.outbox.database.file import open_file
from st2sensor.outbox.database.rows import columns_of
from st2sensor.outbox.entry import Entry
from tests.support.control_peer import run, said

BODY = json.dumps({"trigger": "p.t", "payload": {"x": 1}, "trace_context": None})


def bury(config_file: Path, *bodies: str, reason: str = "no such type") -> None:
    settings = config.load([str(config_file)])
    with closing(open_file(settings.container.state_dir / "outbox.db", settings.outbox.durability)) as outbox:
        for body in bodies:
            entry = Entry(
                message_id="1", sensor="p.S", trigger="p.t", trigger_type="p.t", created=1e9, body=body, reason=reason
            )
            outbox.execute(BURY, (*columns_of(entry), entry.reason, 0.0, False))
        outbox.commit()


@pytest.mark.parametrize("width", [80, 200])
def test_letters_are_listed_in_a_table(config_file: Path, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    bury(config_file, BODY, BODY, reason="a reason of many words " * 10)
    shown = said(run(config_file, "dead-letters", "list")).splitlines()
    assert max(map(len, shown)) <= width
    assert shown[0].split() == ["id", "time", "sensor", "trigger", "reason"]
    assert [line.split()[0] for line in shown if line[:1].isdigit()] == ["1", "2", "2"]
    assert shown[-1] == "2 dead letters"


def test_a_letter_is_shown_in_full(config_file: Path) -> None:
    bury(config_file, BODY)
    (shown,) = json.loads(said(run(config_file, "dead-letters", "show", "1", "--json")))
    assert shown["payload"] == {"x": 1}
    assert shown["reason"] == "no such type"
    assert json.loads(said(run(config_file, "dead-letters", "show", "1"))) == shown


@pytest.mark.parametrize("body", ["{", "[" * 10**5])
def test_a_letter_that_cannot_be_read_has_no_payload(config_file: Path, body: str) -> None:
    bury(config_file, body)
    (shown,) = json.loads(said(run(config_file, "dead-letters", "list", "--json")))
    assert (shown["trigger"], shown["payload"]) == ("p.t", None)


def test_letters_are_purged_by_id_or_all(config_file: Path) -> None:
    bury(config_file, BODY, BODY, BODY)
    assert said(run(config_file, "dead-letters", "purge", "2")) == "1 deleted\n"
    assert [letter["id"] for letter in json.loads(said(run(config_file, "dead-letters", "list", "--json")))] == [1, 3]
    assert said(run(config_file, "dead-letters", "purge", "--all")) == "2 deleted\n"
    assert said(run(config_file, "dead-letters", "list")) == "0 dead letters\n"


def test_a_letter_that_is_still_unknown_stays_unless_forced(config_file: Path) -> None:
    bury(config_file, BODY)
    done = run(config_file, "dead-letters", "replay", "1")
    assert done.exit_code == 0, "click's runner takes no return value for an exit code"
    assert done.stdout == "0 published, 1 left\n"
    assert done.stderr == "dead letter 1 was not published: trigger p.t is not registered\n"
    assert run(config_file, "dead-letters", "replay", "--all", "--force").stdout == "1 published, 0 left\n"
    assert said(run(config_file, "dead-letters", "list")) == "0 dead letters\n"


def test_letters_are_chosen_by_sensor_trigger_and_time(config_file: Path) -> None:
    bury(config_file, BODY, BODY)
    for filters, number in (
        (["--sensor", "S"], 2),
        (["--sensor", "p.Other"], 0),
        (["--trigger", "p.t", "--since", "2001-09-09"], 2),
        (["--since", "2h"], 0),
        (["--until", "2001-09-08"], 0),
    ):
        found = json.loads(said(run(config_file, "dead-letters", "list", "--json", *filters)))
        assert len(found) == number, filters
    (first, _) = json.loads(said(run(config_file, "dead-letters", "list", "--json")))
    assert first["time"] == "2001-09-09T01:46:40.000000Z"


@pytest.mark.parametrize("verb", ["replay", "purge"])
def test_without_ids_and_without_a_terminal_nothing_is_done(config_file: Path, verb: str) -> None:
    bury(config_file, BODY, BODY)
    for filters in ([], ["--sensor", "p.S"], ["--trigger", "p.t"]):
        done = run(config_file, "dead-letters", verb, *filters)
        assert "there is no terminal to confirm it at; name the ids, or add --yes" in done.stderr
    assert said(run(config_file, "dead-letters", "list")).endswith("2 dead letters\n")
    assert run(config_file, "dead-letters", verb, "1", "--all").exit_code == 2
    done = run(
        config_file, "dead-letters", verb, "--sensor", "p.S", "--yes", "--json", *["--force"][: verb == "replay"]
    )
    assert json.loads(done.stdout) == ({"published": 2, "left": 0} if verb == "replay" else {"deleted": 2})


def test_a_missing_letter_is_told_with_the_command_that_lists_them(config_file: Path) -> None:
    bury(config_file, BODY)
    done = run(config_file, "dead-letters", "show", "7")
    assert isinstance(done.exception, DeadLetterNotFound)
    assert "there is no dead letter 7" in str(done.exception)
