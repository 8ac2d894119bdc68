"""Control characters in untrusted text are escaped before it is printed."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from st2sensor import config
from st2sensor.cli.text.printable import in_line, printable
from st2sensor.models import Rule, Trigger
from st2sensor.outbox.database.dead_table import BURY
from st2sensor.outbox.database.file import open_file
from st2sensor.outbox.database.rows import columns_of
from st2sensor.outbox.entry import Entry
from st2sensor.reports import Notice
from st2sensor.storage import open_storage
from tests.support.control_peer import LONE, NASTY, STEERS, Peer, node, report, run, said


def test_what_steers_a_terminal_is_spelled_out() -> None:
    assert printable("a\x1b\x9b\r\u202e\u2069\ud800\t\nä✓") == "a\\x1b\\x9b\\x0d\\u202e\\u2069\\ud800\t\nä✓"
    assert in_line("a\n\tb") == "a\\n\\tb"


@pytest.mark.parametrize(
    "arguments",
    [["list"], ["show", "p.S"], ["logs", "p.S"], ["top", "--once"], ["top"]],
    ids=" ".join,
)
def test_no_text_of_a_sensor_reaches_the_terminal_as_it_is(
    config_file: Path, peer: Callable[..., Peer], arguments: list[str]
) -> None:
    event = Notice(at=time.time(), text=LONE)
    named = {"reason": LONE, "trigger": LONE, "refused": LONE, "file": LONE, "digest": LONE, "trigger_types": (LONE,)}
    happened = {"last_exit": event, "last_error": event, "last_invalid": event}
    bad = report(ref=LONE, state="backoff", triggered_at=time.time(), **named, **happened)
    peer(
        {
            "sensors": lambda: [bad],
            "sensor": lambda ref: bad,  # noqa: ARG005
            "node": lambda: node(LONE),
            "logs": lambda ref: [{"at": time.time(), "level": LONE, "text": LONE}],  # noqa: ARG005
        }
    )
    printed = said(run(config_file, *arguments))
    assert STEERS.search(printed) is None, printed
    assert "a\\x1b[31mb\\x00c\\x9b2Jd\\x0de\\u202ef\\u2066g[bold]h\\ud800i" in printed


@pytest.mark.parametrize(
    "arguments",
    [["key", "list"], ["key", "get", "p.evil"], ["triggers"], ["rules"], ["dead-letters", "list"]],
    ids=" ".join,
)
def test_no_text_that_is_stored_reaches_the_terminal_as_it_is(config_file: Path, arguments: list[str]) -> None:
    settings = config.load([str(config_file)])
    with closing(open_storage(settings.database)) as storage:
        storage.prepare()
        storage.put(Trigger(pack="p", name=f"t{NASTY}", type=f"p.{NASTY}", parameters={"x": NASTY}, ref_count=1))
        storage.put(
            Rule(pack="p", name=NASTY, trigger=NASTY, trigger_type=NASTY, parameters={"x": NASTY}, metadata_file="")
        )
    said(run(config_file, "key", "set", "p.evil", NASTY))
    entry = Entry(message_id="1", sensor=NASTY, trigger=NASTY, trigger_type=NASTY, created=1.0, body="{}", reason=NASTY)
    with closing(open_file(settings.container.state_dir / "outbox.db", settings.outbox.durability)) as outbox:
        outbox.execute(BURY, (*columns_of(entry), entry.reason, 0.0, False))
        outbox.commit()
    printed = said(run(config_file, *arguments))
    assert STEERS.search(printed) is None, printed
    assert "\\u202ef\\u2066g[bold]h" in printed
