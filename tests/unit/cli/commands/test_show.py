"""`st2sensor show`, rendered from typed reports."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from st2sensor.reports import Check, Hang, NodeReport, Notice, Poll, SensorReport
from st2sensor.reports.json_form import fields_of
from tests.support.control_peer import Peer, node, report, run, said
from tests.unit.cli.commands.test_dead_letters import bury


@pytest.fixture
def show(config_file: Path, peer: Callable[..., Peer]) -> Callable[..., str]:
    def shown(found: SensorReport, here: NodeReport | None = None, *options: str) -> str:
        peer({"sensor": lambda ref: found, "node": lambda: here or node()})  # noqa: ARG005
        return said(run(config_file, "show", found.ref, *options))

    return shown


def rows(shown: str) -> dict[str, str]:
    """Return the first line of each row, by its name."""
    return {line[:14].strip(): line[14:].strip() for line in shown.splitlines()[1:] if line[:1].strip()}


def test_a_sensor_without_trouble_has_no_rows_about_trouble(show: Callable[..., str]) -> None:
    shown = show(report(pid=7, memory=2**20, own_memory=2**19, cpu=1.5, restarts=2, trigger_types=("p.t", "p.u")))
    assert shown.splitlines()[0] == "p.S  running"
    assert [line.split("  ")[0] for line in shown.splitlines()[1:]] == [
        *("process", "restarts", "last trigger", "may emit")
    ]
    assert "7, 1.0 MB, 0.5 MB of it not shared with other processes, 1.50 s of processor time" in shown
    assert "none since the container started" in shown
    assert "p.t, p.u" in shown


def test_each_trouble_has_a_row(show: Callable[..., str]) -> None:
    at = time.time() - 300
    notice = Notice(at=at, text="Traceback\nValueError: x")
    shown = show(
        report(
            state="backoff",
            failing=True,
            failures=4,
            reason="ended with exit code 1",
            since=at,
            next_start=at + 600,
            pid=7,
            hang=Hang(what="poll()", since=at, heard=None),
            last_exit=Notice(at=at, text="exit code 1"),
            last_error=notice,
            last_invalid=Notice(at=at, text="p.t: x is not an integer"),
            last_poll=Poll(at=at, seconds=300.0, running=True),
            polls=3,
            refused="p/sensors/s.py:1: a mistake",
            refused_types=("p.u: no schema",),
            held_back="3 triggers wait",
            missing_types=("p.gone",),
            dropped=1,
            node="b",
            fence=9,
        ),
        node(
            checks=(
                Check(name="broker", ok=False, since=at, reason="it is away"),
                Check(name="sensors", ok=False, since=at, reason="p.S keeps failing"),
                Check(name="routing keys", ok=False, since=at, reason="3 triggers of p.S wait"),
            ),
            history="cannot write the history",
        ),
    )
    assert shown.splitlines()[0] == "p.S  failing (backoff)"
    for text in (
        "ended with exit code 1",
        "cannot write the history",
        "b, under fence 9",
        "0, failures in a row: 4",
        ": exit code 1",
        "5 min ago, running for 5 min; 3 since the container started",
        "in poll() for 5 min; last sign of life: none; it began at ",
        "1 line of its log was dropped: it logs more than [sensorcontainer] output_rate allows",
        ": p.t: x is not an integer",
        "p/sensors/s.py:1: a mistake",
        "The previous version is still running.",
        "p.u: no schema",
        "3 triggers wait",
        ": it is away",
        "ValueError: x",
        "not registered: p.gone",
    ):
        assert shown.count(text) == 1, text
    assert "keeps failing" not in shown, "the state says that already"
    assert "of p.S wait" not in shown, "another row says that already"


def test_everything_is_shown_once(show: Callable[..., str], config_file: Path) -> None:
    at = time.time()
    bury(config_file, "{}", reason="n is no integer")
    ended = "ended with exit code 1 (KeyError: 'y')"
    shown = show(
        report(
            state="backoff",
            reason=ended,
            since=at,
            last_exit=Notice(at=at, text=ended),
            invalid=1,
            dead=1,
            last_invalid=Notice(at=at, text="p.t: n is no integer"),
        )
    )
    assert shown.count("ended with exit code 1") == 1
    assert shown.count("n is no integer") == 1
    assert rows(shown)["dead letters"] == (
        "1 dead letter, 1 since the container started; st2sensor dead-letters list shows all. The newest: p.t: n is no "
        "integer"
    )
    assert {"last exit", "invalid"}.isdisjoint(rows(shown))


def test_a_sensor_that_recovers_says_how_often_it_failed_once(show: Callable[..., str]) -> None:
    shown = show(report(failures=5, recovering=True, restarts=5, last_exit=Notice(at=1.0, text="killed")))
    text = " ".join(shown.split())
    assert "recovering it failed 5 times in a row before this run" in text
    assert "restarts 5 last exit" in text
    assert shown.splitlines()[0] == "p.S  running"


@pytest.mark.parametrize("width", [80, 200])
def test_long_text_wraps_in_its_own_column(
    show: Callable[..., str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    reason = "ended with exit code 1: " + "x" * 300
    shown = show(report(state="backoff", reason=reason)).splitlines()
    assert max(map(len, shown)) <= width
    start = next(index for index, line in enumerate(shown) if line.startswith("why"))
    column = shown[start].index("ended")
    wrapped = [line for line in shown[start:] if not line[:column].strip() or line.startswith("why")]
    assert "".join(line[column:] for line in wrapped).replace(" ", "") == reason.replace(" ", "")


def test_a_state_of_a_newer_container_is_shown(show: Callable[..., str]) -> None:
    assert show(report(state="dreaming")).splitlines()[0] == "p.S  dreaming"


def test_json_has_the_whole_report(show: Callable[..., str]) -> None:
    found, here = report(pid=7, trigger_types=("p.t",)), node()
    shown = json.loads(show(found, here, "--json"))
    assert shown == {
        **fields_of(found),
        "dead_letters": 0,
        "configuration": [],
        "container": fields_of(here),
    }
