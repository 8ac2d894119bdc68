"""Shortens the texts in sensors' reports, so that a list of all sensors has a bounded size."""

from __future__ import annotations

from dataclasses import replace

from st2sensor.reports import Notice, SensorReport

SHORT, LONG = 1000, 4000
"""Maximum number of characters of a reason, and of an error with its traceback, in a list of all sensors."""

ALONE = 16_384
"""Maximum number of characters of either in a report of one sensor."""

MOST_TYPES = 100
"""Maximum number of trigger types in a report."""

ELLIPSIS = "..."


def clipped(report: SensorReport, *, short: int = SHORT, long: int = LONG) -> SensorReport:
    """Return a report with shorter texts: reasons keep their beginning, the error keeps its end.

    The message is at the end of a traceback.

    :param short: maximum number of characters of a reason.
    :param long: maximum number of characters of the error.
    """
    return replace(
        report,
        reason=_head(report.reason, short),
        refused=None if report.refused is None else _head(report.refused, short),
        refused_types=tuple(_head(text, short) for text in report.refused_types[:MOST_TYPES]),
        last_exit=_notice(report.last_exit, short),
        last_invalid=_notice(report.last_invalid, short),
        last_error=_error(report.last_error, long),
        trigger_types=report.trigger_types[:MOST_TYPES],
    )


def _head(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - len(ELLIPSIS)]}{ELLIPSIS}"


def _notice(notice: Notice | None, most: int) -> Notice | None:
    return None if notice is None else replace(notice, text=_head(notice.text, most))


def _error(notice: Notice | None, most: int) -> Notice | None:
    if notice is None or len(notice.text) <= most:
        return notice
    return replace(notice, text=f"{ELLIPSIS}{notice.text[len(ELLIPSIS) - most :]}")
