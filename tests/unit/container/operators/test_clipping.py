"""How much of the texts in reports is kept."""

from __future__ import annotations

from typing import Any

from st2sensor.container.operators.clipping import MOST_TYPES, SHORT, clipped
from st2sensor.reports import Notice, SensorReport


def test_the_texts_of_a_report_are_cut_and_keep_their_point() -> None:
    def event(text: str) -> Notice:
        return Notice(at=1.0, text=text)

    fields: dict[str, Any] = {name: event("begin" + "x" * 1_000_000) for name in ("last_exit", "last_invalid")}
    report = clipped(
        SensorReport(
            ref="p.S",
            state="running",
            reason="begin" + "x" * 1_000_000,
            refused="begin" + "x" * 1_000_000,
            last_error=event("x" * 1_000_000 + "the point"),
            trigger_types=tuple(map(str, range(1000))),
            **fields,
        )
    )
    assert report.last_error is not None
    assert report.last_error.text.endswith("the point")
    texts = [report.reason, report.refused, report.last_exit and report.last_exit.text]
    texts.append(report.last_invalid and report.last_invalid.text)
    assert all(text and text.startswith("begin") and len(text) == SHORT for text in texts)
    assert len(report.last_error.text) < 5000
    assert len(report.trigger_types) == MOST_TYPES
    short = SensorReport(ref="p.S", state="running", reason="why")
    assert clipped(short) == short
