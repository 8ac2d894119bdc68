"""The rule of trouble, from reports."""

from __future__ import annotations

import pytest

from st2sensor.reports import DOWN, REFUSED, TURN, WAITING, Hang, Notice, SensorReport, Trouble
from st2sensor.trouble import ERROR, SUMMARIES, WARNING, judged, summaries, troubles
from tests.support.control_peer import report

EXIT = Notice(at=2.0, text="ended with exit code 1 (KeyError: 'x')")
ERR = Notice(at=1.0, text="the sensor failed\nTraceback\nKeyError: 'x'\n")


@pytest.mark.parametrize(
    ("found", "kind", "level", "text"),
    [
        (report(state="backoff", reason="ended\nmore"), "failed", WARNING, "ended"),
        (report(state="backoff", failing=True, reason="ended"), "failing", ERROR, "ended"),
        (report(failing=True, last_exit=EXIT, last_error=ERR), "failing", ERROR, EXIT.text),
        (report(failing=True, last_exit=Notice(at=0.5, text="x"), last_error=ERR), "failing", ERROR, "KeyError: 'x'"),
        (report(failing=True), "failing", ERROR, "it keeps failing"),
        (report(state=REFUSED, refused="s.py:1: a mistake\nmore"), "refused", ERROR, "s.py:1: a mistake"),
        (report(refused="s.py:1: a mistake"), "refused", ERROR, "its new code is refused: s.py:1: a mistake"),
        (report(state=DOWN, reason="no container"), "down", ERROR, "no container"),
        (report(state=WAITING, reason="no node may run it"), "unheld", WARNING, "no node may run it"),
        (report(hang=Hang(what="dispatch()", since=1.0, heard=None)), "hang", WARNING, "in dispatch()"),
        (report(held_back="3 wait"), "held back", ERROR, "3 wait"),
        (
            report(recovering=True, failures=4, last_exit=EXIT),
            "recovering",
            WARNING,
            f"it failed 4 times in a row before this run: {EXIT.text}",
        ),
        (
            report(missing_types=("p.a", "p.b", "p.c", "p.d")),
            "missing",
            WARNING,
            "not registered: p.a, p.b, p.c and 1 more",
        ),
        (
            report(refused_types=("t.yaml: bad", "u")),
            "refused type",
            WARNING,
            "a trigger type is refused: t.yaml: bad (and 1 more)",
        ),
        (report(dead=2), "dead letters", WARNING, "2 dead letters since the container started"),
        (
            report(dead=1, last_invalid=Notice(at=1.0, text="p.t: n is no integer")),
            "dead letters",
            WARNING,
            "1 dead letter: p.t: n is no integer",
        ),
        (report(since=1.0, last_error=ERR), "error", WARNING, "KeyError: 'x'"),
        (
            report(dropped=1),
            "floods",
            WARNING,
            "1 line of its log was dropped: it logs more than [sensorcontainer] output_rate allows",
        ),
    ],
)
def test_each_trouble_is_told_in_one_line(found: SensorReport, kind: str, level: str, text: str) -> None:
    (trouble,) = troubles(found)
    assert (trouble.kind, trouble.level, trouble.text) == (kind, level, text)


@pytest.mark.parametrize(
    "found",
    [
        report(),
        report(restarts=3, last_exit=EXIT, last_error=ERR, since=3.0),
        report(state="starting", reason="it is registered"),
        report(state="disabled", reason="it is disabled"),
        report(state="elsewhere", reason="node b holds it"),
        report(state=WAITING, reason=TURN),
        report(state=WAITING, node="a", reason="its lease is new"),
        report(state="finished", reason="ended with exit code 0"),
    ],
)
def test_what_is_expected_is_no_trouble(found: SensorReport) -> None:
    assert troubles(found) == ()


def test_the_most_important_trouble_comes_first() -> None:
    found = report(state="backoff", failing=True, reason="ended", dropped=1, dead=1, refused="bad", held_back="1 waits")
    assert [item.kind for item in troubles(found)] == ["failing", "refused", "held back", "dead letters", "floods"]


def test_a_summary_names_the_first_few_sensors_of_each_kind() -> None:
    hanging = [judged(report(f"p.{name}", hang=Hang(what="poll()", since=1.0, heard=None))) for name in "ABCDE"]
    assert summaries(hanging[:1]) == ("p.A hangs; st2sensor show p.A says where",)
    dead = judged(report("p.S", dead=1))
    assert summaries([*hanging, dead]) == (
        "p.A, p.B, p.C and 2 more hang; st2sensor show p.A says where",
        "p.S has new dead letters; st2sensor show p.S says why",
    )
    assert summaries([report()]) == ()


def test_a_check_of_the_container_and_a_summary_never_say_the_same() -> None:
    assert not {"failing", "held back"} & SUMMARIES.keys()
    assert summaries([judged(report(failing=True, held_back="1 waits"))]) == ()


def test_the_troubles_of_an_earlier_version_are_replaced() -> None:
    old = Trouble(kind="unknown", level=ERROR, text="x")
    assert judged(report(troubles=(old,))).troubles == ()
