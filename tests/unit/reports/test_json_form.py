from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from st2sensor import reports
from st2sensor.reports import Hang, Notice
from st2sensor.reports.json_form import TIMES, fields_of, moment
from tests.support.control_peer import node, report

DURATIONS = {"seconds", "poll_seconds", "cpu", "poll_interval", "lag", "lease_left", "latency_sum"} | {
    "lag_seconds",
    "expect_event",
    "expect_poll",
}


def test_times_are_text_in_utc_at_any_depth() -> None:
    found = fields_of(
        report(since=0.0, hang=Hang(what="poll()", since=1.5, heard=None), last_exit=Notice(at=2.0, text="1"))
    )
    assert found["since"] == "1970-01-01T00:00:00.000000Z"
    assert found["hang"] == {"what": "poll()", "since": "1970-01-01T00:00:01.500000Z", "heard": None}
    assert found["last_exit"] == {"at": "1970-01-01T00:00:02.000000Z", "text": "1"}
    assert found["next_start"] is None
    assert fields_of(node())["started"].endswith("Z")


@pytest.mark.parametrize("seconds", [1e20, float("inf"), float("nan")])
def test_a_time_that_no_calendar_has_is_null(seconds: float) -> None:
    assert moment(seconds) is None


def test_every_time_of_the_reports_is_known_by_its_name() -> None:
    kinds = [kind for kind in vars(reports).values() if isinstance(kind, type) and is_dataclass(kind)]
    assert len(kinds) > 5
    numbers = {
        field.name for kind in kinds for field in fields(kind) if re.fullmatch(r"float( \| None)?", str(field.type))
    }
    assert numbers - TIMES <= DURATIONS, "is this a time? Add it to TIMES of json_form, or to DURATIONS here"


def test_every_name_is_that_of_a_field() -> None:
    text = "".join(path.read_text() for path in Path(reports.__file__).parent.glob("*.py"))
    for name in TIMES - {"seen"}:
        assert re.search(rf"^    {name}: float", text, re.MULTILINE), name
