"""Cuts the texts of sensors' reports, so that no sensor's text is too long for a list of all."""

from __future__ import annotations

from dataclasses import replace

from st2sensor.reports import Notice, SensorReport

SHORT, LONG = 1000, 4000
"""Characters of a reason, and of an error with its traceback, where all sensors are told of."""

ALONE = 16_384
"""Characters of either where one sensor is."""

TYPES = 100
"""Trigger types that are told of."""

ELLIPSIS = "..."


def clipped(report: SensorReport, *, short: int = SHORT, long: int = LONG) -> SensorReport:
    """The report with the beginnings of its reasons, and the end of its error, where a traceback has its point."""
    return replace(
        report,
        reason=_head(report.reason, short),
        refused=None if report.refused is None else _head(report.refused, short),
        refused_types=tuple(_head(text, short) for text in report.refused_types[:TYPES]),
        last_exit=_event(report.last_exit, short),
        last_invalid=_event(report.last_invalid, short),
        last_error=_error(report.last_error, long),
        trigger_types=report.trigger_types[:TYPES],
    )


def _head(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - len(ELLIPSIS)]}{ELLIPSIS}"


def _event(event: Notice | None, most: int) -> Notice | None:
    return None if event is None else replace(event, text=_head(event.text, most))


def _error(event: Notice | None, most: int) -> Notice | None:
    if event is None or len(event.text) <= most:
        return event
    return replace(event, text=f"{ELLIPSIS}{event.text[len(ELLIPSIS) - most :]}")
