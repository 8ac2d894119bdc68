from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from tests.bench import figures
from tests.bench.figures import Row

RATE = Row(key="rate", title="a rate", unit="/s", goal=100, limit="bare", more_is_better=True)
TIME = Row(key="time", title="a time", unit="ms", goal=1.2, limit="a round trip")
SAMPLES = [{"rate": 90.0, "bare": 300.0, "time": 1.0}, {"rate": 110.0, "bare": 400.0}, {"rate": 95.0, "bare": 200.0}]


def printed(base: dict[str, object] | None = None, samples: list[dict[str, float]] = SAMPLES) -> list[str]:
    output = io.StringIO()
    Console(file=output, width=200).print(figures.table_of(list(figures.results_of([RATE, TIME], samples)), base))
    return output.getvalue().splitlines()


def line(of: str, lines: list[str]) -> list[str]:
    return next([cell.strip() for cell in text.strip("│ ").split("│")] for text in lines if of in text)


def test_a_row_shows_its_spread_next_to_its_goal_and_to_the_limit_measured_in_the_same_run() -> None:
    assert line("a rate", printed()) == ["a rate", "90.0 /s", "95.0 /s", "110 /s", "100 /s", "not met", "300 /s"]
    assert line("a time", printed()) == ["a time", "1.00 ms", "1.00 ms", "1.00 ms", "1.20 ms", "met", "a round trip"]


@pytest.mark.parametrize(
    ("before", "after", "rate", "time"),
    [
        ((100, 110), (115, 120), "+12 % better", "+12 % worse"),
        ((100, 110), (80, 90), "-19 % worse", "-19 % better"),
        ((100, 110), (109, 130), "+14 % within noise", "+14 % within noise"),
    ],
)
def test_a_change_counts_only_if_no_repetition_overlaps(
    before: tuple[int, ...], after: tuple[int, ...], rate: str, time: str
) -> None:
    then, now = ([{"rate": float(value), "time": float(value)} for value in values] for values in (before, after))
    base = json.loads(json.dumps(figures.document_of(list(figures.results_of([RATE, TIME], then)))))
    assert line("a rate", printed(base, now))[-1] == rate
    assert line("a time", printed(base, now))[-1] == time


def test_a_row_that_the_earlier_run_lacks_is_new() -> None:
    base = figures.document_of(list(figures.results_of([TIME], SAMPLES)))
    assert line("a rate", printed(base))[-1] == "new"


@pytest.mark.parametrize("text", ["{", "[]", '{"rows": {"x": {"values": []}}}', None])
def test_a_file_that_is_no_earlier_run_is_named(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "base.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SystemExit, match=r"base\.json: .*make bench has written"):
        figures.read_base(path)
