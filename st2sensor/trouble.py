"""Decides what is wrong with a sensor, for `list`, `show`, `top`, the status page and `/ready` alike.

Each rule is a pure function of a report. To count something else as trouble, add the field to SensorReport, a rule to
RULES, and the words of a summary to SUMMARIES.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from st2sensor.reports import DOWN, REFUSED, TURN, WAITING, SensorReport, Trouble

ERROR, WARNING = "error", "warning"
"""Levels. Error: the sensor does not do its work. Warning: some of its events or log lines were lost or are late."""

MOST_NAMED = 3
"""Maximum number of sensors, or of trigger types, that one text names."""

SUMMARIES: Mapping[str, tuple[str, str]] = {
    "refused": ("has refused code", "have refused code"),
    "failed": ("has failed", "have failed"),
    "recovering": ("has kept failing until now", "have kept failing until now"),
    "down": ("has no container", "have no container"),
    "unheld": ("does not run anywhere", "do not run anywhere"),
    "hang": ("hangs", "hang"),
    "silent": ("is silent", "are silent"),
    "missing": ("has trigger types that are not registered", "have trigger types that are not registered"),
    "refused type": ("has refused trigger types", "have refused trigger types"),
    "dead letters": ("has new dead letters", "have new dead letters"),
    "unrouted": ("has triggers that no queue takes", "have triggers that no queue takes"),
    "limited": ("has triggers that its limits hold", "have triggers that their limits hold"),
    "error": ("has logged an error", "have logged errors"),
    "floods": ("has lost lines of its log", "have lost lines of their logs"),
}
"""Words for one sensor and for several, by kind of trouble. The kinds that a check of the container reports are left
out: `failing` and `held back`."""


def judged(report: SensorReport) -> SensorReport:
    """Return a report with its troubles."""
    return replace(report, troubles=troubles(report))


def troubles(report: SensorReport) -> tuple[Trouble, ...]:
    """Return everything that is wrong with a sensor, the most important first."""
    found = (rule(report) for rule in RULES)
    return tuple(trouble for trouble in found if trouble is not None)


def summaries(reports: Iterable[SensorReport]) -> tuple[str, ...]:
    """Return a line for each kind of trouble that no check of the container reports, with the first few sensors.

    :param reports: with their troubles.
    """
    refs: dict[str, list[str]] = {kind: [] for kind in SUMMARIES}
    for report in reports:
        for trouble in report.troubles:
            if trouble.kind in refs:
                refs[trouble.kind].append(report.ref)
    return tuple(_summary(kind, named) for kind, named in refs.items() if named)


def crash_loops(failing: Iterable[str]) -> str:
    """Return which sensors keep failing, the first few by name; empty if none does.

    :param failing: references of sensors.
    """
    refs = sorted(failing)
    if not refs:
        return ""
    return f"{_listed(refs)} keep{'s' if len(refs) == 1 else ''} failing; st2sensor show {refs[0]} says why"


def _summary(kind: str, refs: list[str]) -> str:
    words = SUMMARIES[kind][len(refs) > 1]
    says = "says where" if kind == "hang" else "says why"
    return f"{_listed(refs)} {words}; st2sensor show {refs[0]} {says}"


def _failure(report: SensorReport) -> Trouble | None:
    if not report.failing and report.state != "backoff":
        return None
    text = _first(report.reason) if report.state != "running" else _last_failure(report)
    kind, level = ("failing", ERROR) if report.failing else ("failed", WARNING)
    return Trouble(kind=kind, level=level, text=text or "it keeps failing", since=report.since)


def _refused(report: SensorReport) -> Trouble | None:
    if report.refused is None and report.state != REFUSED:
        return None
    reason = _first(report.refused or report.reason)
    text = reason if report.state == REFUSED else f"its new code is refused: {reason}"
    return Trouble(kind="refused", level=ERROR, text=text)


def _down(report: SensorReport) -> Trouble | None:
    return Trouble(kind="down", level=ERROR, text=report.reason) if report.state == DOWN else None


def _unheld(report: SensorReport) -> Trouble | None:
    if report.state != WAITING or report.node is not None or report.reason in ("", TURN):
        return None
    return Trouble(kind="unheld", level=WARNING, text=report.reason)


def _hang(report: SensorReport) -> Trouble | None:
    hang = report.hang
    return None if hang is None else Trouble(kind="hang", level=WARNING, text=f"in {hang.what}", since=hang.since)


def _silent(report: SensorReport) -> Trouble | None:
    if not report.silent:
        return None
    return Trouble(kind="silent", level=WARNING, text=report.silent, since=report.silent_since)


def _held_back(report: SensorReport) -> Trouble | None:
    return Trouble(kind="held back", level=ERROR, text=report.held_back) if report.held_back else None


def _recovering(report: SensorReport) -> Trouble | None:
    if not report.recovering:
        return None
    text = f"it failed {report.failures} times in a row before this run: {_last_failure(report)}"
    return Trouble(kind="recovering", level=WARNING, text=text, since=report.since)


def _missing(report: SensorReport) -> Trouble | None:
    if not report.missing_types:
        return None
    return Trouble(kind="missing", level=WARNING, text=f"not registered: {_listed(report.missing_types)}")


def _refused_types(report: SensorReport) -> Trouble | None:
    if not report.refused_types:
        return None
    more = f" (and {len(report.refused_types) - 1} more)" if len(report.refused_types) > 1 else ""
    text = f"a trigger type is refused: {_first(report.refused_types[0])}{more}"
    return Trouble(kind="refused type", level=WARNING, text=text)


def _dead_letters(report: SensorReport) -> Trouble | None:
    if not report.dead:
        return None
    counted = "1 dead letter" if report.dead == 1 else f"{report.dead} dead letters"
    newest = report.last_invalid
    if newest is None:
        return Trouble(kind="dead letters", level=WARNING, text=f"{counted} since the container started")
    return Trouble(kind="dead letters", level=WARNING, text=f"{counted}: {_first(newest.text)}", since=newest.at)


def _unrouted(report: SensorReport) -> Trouble | None:
    if not report.unrouted:
        return None
    counted = "1 trigger" if report.unrouted == 1 else f"{report.unrouted} triggers"
    return Trouble(kind="unrouted", level=WARNING, text=f"{counted} unrouted: no queue takes them")


def _limited(report: SensorReport) -> Trouble | None:
    if not report.held:
        return None
    counted = "1 trigger is" if report.held == 1 else f"{report.held} triggers are"
    text = f"{counted} held by its limits; st2sensor events release --sensor {report.ref} sends them at once"
    return Trouble(kind="limited", level=WARNING, text=text)


def _logged_error(report: SensorReport) -> Trouble | None:
    """Return an error of the current run. The failures report the errors of earlier runs, while these count."""
    error = report.last_error
    if report.state != "running" or report.failing or error is None or error.at < (report.since or 0.0):
        return None
    return Trouble(kind="error", level=WARNING, text=_last(error.text), since=error.at)


def _floods(report: SensorReport) -> Trouble | None:
    if not report.dropped:
        return None
    lines = "1 line of its log was" if report.dropped == 1 else f"{report.dropped} lines of its log were"
    text = f"{lines} dropped: it logs more than [sensorcontainer] output_rate allows"
    return Trouble(kind="floods", level=WARNING, text=text)


RULES: tuple[Callable[[SensorReport], Trouble | None], ...] = (
    _failure,
    _down,
    _refused,
    _held_back,
    _unheld,
    _hang,
    _silent,
    _missing,
    _refused_types,
    _dead_letters,
    _unrouted,
    _limited,
    _recovering,
    _logged_error,
    _floods,
)
"""The rules, by the importance of their troubles."""


def _last_failure(report: SensorReport) -> str:
    """Return the newer one of the last exit and the last error, in one line; empty if there is none."""
    ended, error = report.last_exit, report.last_error
    if ended is not None and (error is None or error.at < ended.at):
        return _first(ended.text)
    return "" if error is None else _last(error.text)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{', '.join(names[:MOST_NAMED])}{more}"


def _first(text: str) -> str:
    return text.partition("\n")[0]


def _last(text: str) -> str:
    """Return the last line, which holds the message of a traceback."""
    return text.rstrip().rpartition("\n")[2]
