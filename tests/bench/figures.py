"""The rows of `make bench`: each figure with its goal and its limit, the least, median and most of its repetitions."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

Sample = Mapping[str, float]
"""The figures of one repetition, by the key of their row. It may hold limits that are measured next to them."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table.

    :param key: its name in the JSON file, and in the samples.
    :param title: its name in the table.
    :param unit: printed after each number; empty for a ratio.
    :param goal: the number to reach; None if there is none.
    :param limit: why it cannot be any better: text, or the key of a figure that is measured in the same run.
    :param more_is_better: whether a greater number is better.
    """

    key: str
    title: str
    unit: str = ""
    goal: float | None = None
    limit: str = ""
    more_is_better: bool = False


@dataclass(frozen=True, kw_only=True)
class Result:
    """A row's figures, one for each repetition, and its limit as it was measured or is known."""

    row: Row
    values: tuple[float, ...]
    limit: str

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def reaches_goal(self) -> bool | None:
        """Whether the median reaches the goal; None without a goal."""
        if self.row.goal is None:
            return None
        return self.median >= self.row.goal if self.row.more_is_better else self.median <= self.row.goal


def results_of(rows: Sequence[Row], samples: Sequence[Sample]) -> Iterator[Result]:
    """Yield the result of each row that was measured."""
    for row in rows:
        values = tuple(sample[row.key] for sample in samples if row.key in sample)
        if values:
            measured = [sample[row.limit] for sample in samples if row.limit in sample]
            limit = shown(statistics.median(measured), row.unit) if measured else row.limit
            yield Result(row=row, values=values, limit=limit)


def table_of(results: Sequence[Result], base: Mapping[str, Any] | None = None) -> Table:
    """Return the table.

    :param base: what `document_of` returned for an earlier run, to compare with.
    """
    columns = ("min", "median", "max", "goal", "", "limit")
    then = ("median then", "change") if base is not None else ()
    table = Table("figure", *columns, *then, title="figures and goals")
    for result in results:
        row = result.row
        numbers = (min(result.values), result.median, max(result.values))
        cells = [row.title, *(shown(number, row.unit) for number in numbers)]
        reached = {None: "", True: "met", False: "not met"}[result.reaches_goal]
        cells += ["" if row.goal is None else shown(row.goal, row.unit), reached, result.limit]
        if base is not None:
            cells += change(result, base["rows"].get(row.key))
        table.add_row(*cells)
    return table


def change(result: Result, before: Mapping[str, Any] | None) -> tuple[str, str]:
    """Return the earlier median, and the change since. A change within the noise of both runs is called none."""
    if before is None:
        return "", "new"
    values: list[float] = before["values"]
    median = statistics.median(values)
    percent = f"{100 * (result.median / median - 1):+.0f} %" if median else ""
    if min(result.values) > max(values):
        verdict = "better" if result.row.more_is_better else "worse"
    elif max(result.values) < min(values):
        verdict = "worse" if result.row.more_is_better else "better"
    else:
        verdict = "within noise"
    return shown(median, result.row.unit), f"{percent} {verdict}".strip()


def document_of(results: Sequence[Result]) -> dict[str, Any]:
    """Return what a later run compares itself with, as JSON."""
    machine = {"processors": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()}
    rows = {item.row.key: {**asdict(item.row), "limit": item.limit, "values": list(item.values)} for item in results}
    return {"machine": {**machine, "load": list(os.getloadavg())}, "rows": rows}


def read_base(path: Path) -> dict[str, Any]:
    """Return the document in a file. Raises SystemExit naming the file and the remedy."""
    try:
        document: dict[str, Any] = json.loads(path.read_text())
        for row in document["rows"].values():
            statistics.median(row["values"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, statistics.StatisticsError) as error:
        raise SystemExit(
            f"cannot compare with {path}: {error}; name a JSON file that make bench has written"
        ) from error
    return document


def shown(number: float, unit: str) -> str:
    """Return a number with three significant digits and its unit."""
    digits = max(0, 2 - len(str(int(abs(number)))) + (abs(number) >= 1)) if abs(number) >= 1 else 2
    return f"{number:,.{digits}f} {unit}".strip()
