"""What the commands print of others' text, in which width, and how they end; a stand-in answers for the container."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from st2sensor import config
from st2sensor.cli import st2sensor as program
from st2sensor.cli.daemon.child_process import stopping
from st2sensor.cli.events import follow
from st2sensor.cli.events.seen import Seen, not_shown, seen_in
from st2sensor.cli.inspection.control_client import ControlClient
from st2sensor.cli.inspection.cpu_shares import CpuShares
from st2sensor.cli.inspection.reports import every, one
from st2sensor.cli.inspection.sensor_table import table, why
from st2sensor.cli.text import units
from st2sensor.cli.text.printable import in_line, printable
from st2sensor.errors import ContainerAway, ContainerForbidden, ContainerGone, TriggerNotFound, TriggerRefused
from st2sensor.models import Rule, Trigger
from st2sensor.outbox.database.dead_table import BURY
from st2sensor.outbox.database.file import open_file
from st2sensor.outbox.database.rows import columns_of
from st2sensor.outbox.entry import Entry
from st2sensor.portable import rpc
from st2sensor.reports import CONTROL_SOCKET, NodeReport, Notice, SensorReport
from st2sensor.storage import open_storage
from st2sensor.transport.base import Message
from tests.support.command_lines import ROOTS, commands

NASTY = "a\x1b[31mb\x00c\x9b2Jd\re\u202ef\u2066g[bold]h"
LONE = NASTY + "\ud800i"
STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

Answers = dict[str, Callable[..., Any]]

CONFIG = """\
[system]
base_path = .
[database]
connection = sqlite://
[messaging]
url = local://
[sensorcontainer]
state_dir = state
"""


@pytest.fixture
def config_file(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    # Without a terminal there is room for all, unless this says otherwise.
    monkeypatch.delenv("COLUMNS", raising=False)
    # A short path: a socket's has a limit.
    with tempfile.TemporaryDirectory(prefix="st2s-") as folder:
        path = Path(folder) / "st2.conf"
        path.write_text(CONFIG)
        (path.parent / "state").mkdir()
        yield path


class Peer:
    """Answers on a control socket, one connection after the other and each in a thread; then hangs up."""

    def __init__(self, path: Path, answers: Answers, *, events: list[dict[str, Any]] | None = None) -> None:
        self._answers = answers
        self._events = events or []
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                threading.Thread(target=self._talk, args=[connection], daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines, suppress(OSError):
            requests = rpc.Requests()
            for line in lines:
                asked = requests.add(line.rstrip(b"\n"))
                if asked is None:
                    continue
                if asked["method"] not in (*self._answers, "follow"):
                    return
                if asked["method"] == "follow":
                    connection.sendall(rpc.result(asked["id"], None))
                    for event in self._events:
                        connection.sendall(rpc.notification("event", event))
                    return
                try:
                    answer = rpc.result(asked["id"], self._answers[asked["method"]](**asked["params"]))
                except ValueError as error:
                    answer = rpc.error(asked["id"], error)
                connection.sendall(answer)


def report(ref: str = "p.S", **fields: Any) -> dict[str, Any]:
    return asdict(SensorReport(**{"ref": ref, "state": "running", **fields}))


def node(name: str = "here") -> dict[str, Any]:
    fields: dict[str, Any] = {"outbox_depth": 0, "outbox_size": 1, "outbox_oldest": None, "latencies": ()}
    fields |= {"outbox_bytes": 0, "outbox_max_bytes": 1}
    return asdict(
        NodeReport(
            name=name,
            version="1",
            pid=1,
            started=time.time(),
            source="",
            summary=name,
            checks=(),
            latency_sum=0.0,
            memory=1,
            cpu=0.0,
            **fields,
        )
    )


def run(config_file: Path, *arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(program.root, ["--config-file", str(config_file), *arguments], input=given)


def said(result: Result) -> str:
    assert result.exception is None, result.exception
    return result.stdout


@pytest.fixture
def peer(config_file: Path) -> Iterator[Callable[..., Peer]]:
    made = []

    def make(answers: Answers, **options: Any) -> Peer:
        made.append(Peer(config_file.parent / "state" / CONTROL_SOCKET, answers, **options))
        return made[-1]

    yield make
    for item in made:
        item.close()


# Text that others have written.


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
        outbox.execute(BURY, (*columns_of(entry), entry.reason, 0.0))
        outbox.commit()
    printed = said(run(config_file, *arguments))
    assert STEERS.search(printed) is None, printed
    assert "\\u202ef\\u2066g[bold]h" in printed


def test_a_trigger_that_passes_is_one_line_without_what_steers() -> None:
    text = f"{LONE}\n\t"
    seen = Seen(
        time="",
        trigger=text,
        trigger_type=text,
        payload={text: text, "x": [text]},
        trace_context={"trace_tag": text},
        message_id=None,
    )
    stream = io.StringIO()
    Console(file=stream, force_terminal=True, color_system="truecolor").print(follow.line(seen), soft_wrap=True)
    plain = re.sub(r"\x1b\[[\d;]*m", "", stream.getvalue())
    assert plain.count("\n") == 1
    assert STEERS.search(plain) is None


def test_an_encoding_without_bars_ends_no_command(
    config_file: Path, peer: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = report(recent=(1, 2, 3), triggered_at=1.0, trigger="p.ä", dispatched=3)
    peer({"sensors": lambda: [busy], "sensor": lambda ref: busy, "node": node})  # noqa: ARG005
    for command in (["list"], ["show", "p.S"]):
        written = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii", write_through=True))
        assert program.main(["--config-file", str(config_file), *command]) == 0
        assert b"p.S" in written.getvalue()


# The table.


@pytest.mark.parametrize("width", [60, 80, 100, 200])
@pytest.mark.parametrize("shares", [None, {"p.B": 12.34}], ids=["list", "top"])
def test_a_long_reason_costs_no_other_column(width: int, shares: dict[str, float | None] | None) -> None:
    ref = "pack.SensorOfThirtyCharacters_"
    assert len(ref) == 30
    at = time.time() - 720
    rows = [
        report(ref, state="backoff", since=at, restarts=17, reason="ended with exit code 1 (" + "no luck " * 40 + ")"),
        report("p.B", since=at, recent=(1,) * 18, triggers_per_minute=7, memory=2**25, triggered_at=at),
    ]
    stream = io.StringIO()
    Console(file=stream, width=width).print(table(rows, width, shares))
    head, first, second = stream.getvalue().splitlines()
    assert max(map(len, (head, first, second))) <= width
    assert ref in first
    assert "backoff" in first
    assert "ended with exit" in first
    if width >= 80:
        assert "12 min ago" in first
        assert " 17 " in first
        assert "restarts" in head
    if width == 200:
        assert ("12.3" in second) is ("cpu" in head) is (shares is not None)
        assert "last 3 min" in head


def test_why_a_sensor_fails_that_runs_again_is_what_happened_last() -> None:
    ended, error = Notice(at=2.0, text="killed by signal 9"), Notice(at=1.0, text="Traceback\nKeyError: 'x'")
    assert why(report(failing=True, last_exit=ended)) == "killed by signal 9"
    assert why(report(failing=True, last_exit=ended, last_error=error)) == "killed by signal 9"
    assert why(report(failing=True, last_exit=Notice(at=0.5, text="x"), last_error=error)) == "KeyError: 'x'"
    assert why(report(failing=True)) == ""
    assert why(report(last_exit=ended)) == ""


def test_the_processor_is_shared_between_two_looks() -> None:
    processor = CpuShares()
    assert processor.shares([report(pid=1, cpu=5.0)], 100.0) == {"p.S": None}
    assert processor.shares([report(pid=1, cpu=6.0)], 102.0) == {"p.S": 50.0}
    assert processor.shares([report(pid=2, cpu=0.5)], 104.0) == {"p.S": None}
    assert processor.shares([report(pid=2)], 106.0) == {}


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-5, "0 ms"), (0.2, "200 ms"), (0.9999, "1 s"), (59.9, "59.9 s"), (59.9999, "1 min"), (11520, "3 h 12 min")],
)
def test_spans_are_told_by_their_largest_units(seconds: float, shown: str) -> None:
    assert units.span(seconds) == shown


def test_things_are_counted() -> None:
    assert [units.count(number, "key") for number in range(3)] == ["0 keys", "1 key", "2 keys"]


# The control socket.


def test_a_socket_of_others_is_told_as_that(config_file: Path, peer: Callable[..., Peer]) -> None:
    settings = config.load([str(config_file)])
    peer({"sensors": list})
    path = settings.container.state_dir / CONTROL_SOCKET
    path.chmod(0)
    config_file.parent.chmod(0o755)
    assert stat.S_IMODE(path.stat().st_mode) == 0
    assert not issubclass(ContainerForbidden, ContainerAway)
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        for ask in (lambda: every(settings), lambda: one(settings, "p.S")):
            with pytest.raises(ContainerForbidden, match="become a member of the group") as refused:
                ask()
            assert refused.value.exit_code == 77
    finally:
        os.seteuid(before)


def test_a_container_that_ends_is_told_as_gone(
    config_file: Path, peer: Callable[..., Peer], capsys: pytest.CaptureFixture[str]
) -> None:
    peer({})
    container = ControlClient(config_file.parent / "state" / CONTROL_SOCKET)
    with closing(container):
        container.follow([])
        assert list(container.events()) == []
        with pytest.raises(ContainerGone, match="has ended"):
            container.call("node")
    assert program.main(["--config-file", str(config_file), "top", "--once"]) == 69
    assert capsys.readouterr().err == "the container has ended\n"


def test_top_is_printed_as_json(config_file: Path, peer: Callable[..., Peer]) -> None:
    peer({"node": node, "sensors": lambda: [report("p.B", memory=1), report("p.A", memory=2)]})
    shown = json.loads(said(run(config_file, "top", "--once", "--json", "--sort", "memory")))
    assert shown["node"]["name"] == "here"
    assert [sensor["ref"] for sensor in shown["sensors"]] == ["p.A", "p.B"]
    assert run(config_file, "top", "--json").exit_code == 2


def test_lines_that_come_while_a_log_is_asked_for_are_shown_once(config_file: Path, peer: Callable[..., Peer]) -> None:
    lines = [{"at": float(number), "level": "INFO", "text": f"line {number}"} for number in (1, 2, 2, 3)]
    events = [{**line, "kind": "line", "sensor": "p.S"} for line in (*lines[2:], {**lines[3], "text": "line 4"})]
    peer({"sensor": lambda ref: report(ref), "logs": lambda ref: lines[:3]}, events=events)  # noqa: ARG005
    printed = said(run(config_file, "logs", "p.S", "-f", "--json"))
    texts = [json.loads(line)["text"] for line in printed.splitlines()]
    assert texts == ["line 1", "line 2", "line 2", "line 3", "line 4"]


# Triggers.


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
    assert not_shown(message).startswith(f"a message of {len(body)} bytes is no trigger instance: ")


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


@pytest.mark.parametrize("payload", ['{"x": NaN}', '{"x": -Infinity}', '{"x": 1e999}', '{"x":' * 10**5, "[]", "{"])
def test_a_payload_that_is_not_json_is_a_mistake_of_the_command_line(config_file: Path, payload: str) -> None:
    done = run(config_file, "dispatch", "p.t", "-", given=payload)
    assert done.exit_code == 2, done.stderr
    assert "PAYLOAD" in done.stderr


def test_a_trigger_that_must_not_be_published_is_refused_with_and_without_a_container(
    config_file: Path, peer: Callable[..., Peer]
) -> None:
    assert isinstance(run(config_file, "dispatch", "p.t").exception, TriggerRefused)
    assert isinstance(run(config_file, "triggers", "remove", "p.t").exception, TriggerNotFound)

    def refuse(**params: Any) -> None:
        raise ValueError(f"trigger {params['trigger']} is not registered")

    peer({"dispatch": refuse})
    refused = run(config_file, "dispatch", "p.t").exception
    assert isinstance(refused, TriggerRefused)
    assert str(refused) == "trigger p.t is not registered"


# What is listed can be loaded.


def test_keys_that_were_listed_can_be_loaded(config_file: Path) -> None:
    with tempfile.TemporaryDirectory(dir=config_file.parent) as folder:
        other = Path(folder) / "st2.conf"
        other.write_text(CONFIG)
        file = Path(folder) / "keys.json"
        settings = ["key", "set", "--ttl", "3600"]
        said(run(config_file, *settings, "p.S:a", "1"))
        said(run(config_file, "key", "set", "--scope", "user", "--user", "ann", "b", "2"))
        listed = said(run(config_file, "key", "list", "--scope", "all", "--json"))
        file.write_text(listed)
        assert said(run(other, "key", "load", str(file))) == "2 keys are stored\n"
        assert said(run(other, "key", "list", "--scope", "all", "--json")) == listed
        assert json.loads(listed)[1]["name"] == "ann:b"
        for item, problem in (
            ({"value": "********", "secret": True}, "--decrypt"),
            ({"expire_timestamp": "soon"}, "expire_timestamp of k: 'soon' is no time"),
            ({"expire_timestamp": "2100-01-01T00:00:00Z", "ttl": 5}, "both ttl and expire_timestamp"),
        ):
            file.write_text(json.dumps([{"name": "k", "value": "v", **item}]))
            assert problem in run(other, "key", "load", str(file)).stderr
        file.write_text(json.dumps([{"name": "k", "value": "v", "expire_timestamp": "2000-01-01T00:00:00Z"}]))
        done = run(other, "key", "load", str(file))
        assert (done.stdout, done.stderr) == ("0 keys are stored\n", "1 key left out: expired\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["restart", "p.S"], {"ref": "p.S", "restarted": True}),
        (["log-level", "INFO"], {"ref": None, "level": "INFO"}),
        (["dispatch", "p.t"], {"trigger": "p.t", "published": False}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_was_done_is_told_as_json(
    config_file: Path, peer: Callable[..., Peer], arguments: list[str], told: dict[str, Any]
) -> None:
    peer(dict.fromkeys(("restart", "log_level", "dispatch"), lambda **_: None))
    assert json.loads(said(run(config_file, *arguments, "--json"))) == told


# Help, and the end.


@pytest.mark.parametrize(
    "names", [words for name, root in ROOTS.items() for words, _ in commands(root, name)], ids=" ".join
)
def test_every_command_has_help_with_examples_where_nothing_is_configured(
    names: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ST2_CONF", str(tmp_path / "missing.conf"))
    done = CliRunner().invoke(ROOTS[names[0]], [*names[1:], "--help"])
    assert done.exit_code == 0, done.output
    assert "Examples:" in done.output


@pytest.mark.parametrize("is_asked", [True, False])
def test_a_container_that_is_stopped_before_it_listens_has_not_failed(is_asked: bool) -> None:
    with subprocess.Popen(["sleep", "100"]) as process:
        with stopping(process) as code:
            if is_asked:
                handler = signal.getsignal(signal.SIGTERM)
                assert callable(handler)
                handler(signal.SIGTERM, None)
            else:
                process.terminate()
            process.wait()
        assert code() == (0 if is_asked else -signal.SIGTERM)
