"""`make bench`: prints what st2sensor costs, next to the goals, and to the bare libraries in the same run.

Without arguments it measures the rows of the table. Arguments name benches, or detailed reports.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from tests.bench import (
    commands,
    datastore,
    delivery,
    exits,
    history,
    latency,
    limits,
    neighbours,
    placement,
    registering,
    sharing,
    webhooks,
    weight,
)
from tests.bench.figures import Result, Row, Sample, document_of, read_base, results_of, table_of
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.rabbitmq import RabbitMQ
from tests.support.workspace import Workspace

REPETITIONS = 5


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Measures some rows.

    :param repetitions: yields the figures of one repetition after the other, for as long as it is asked.
    """

    rows: Sequence[Row]
    repetitions: Callable[[Workspace], Iterator[Sample]]


BENCHES = {
    "delivery": Bench(rows=delivery.ROWS, repetitions=delivery.repetitions),
    "datastore": Bench(rows=datastore.ROWS, repetitions=datastore.repetitions),
    "limits": Bench(rows=limits.ROWS, repetitions=limits.repetitions),
    "weight": Bench(rows=weight.ROWS, repetitions=weight.repetitions),
    "history": Bench(rows=history.ROWS, repetitions=history.repetitions),
    "registering": Bench(rows=registering.ROWS, repetitions=registering.repetitions),
}
"""To add a row, add a Row and its figure to a module's ROWS and `repetitions`; to add a bench, add both here."""

REPORTS: dict[str, Callable[[Workspace], None]] = {
    "commands": commands.report,
    "starts": weight.report,
    "exits": exits.report,
    "latency": latency.report,
    "dispatch": delivery.report,
    "takeover": sharing.report_takeover,
    "cost": sharing.report_cost,
    "placement": placement.report,
    "webhooks": webhooks.report,
    "neighbours": neighbours.report,
}
"""Detailed tables, which take longer."""


def main() -> None:
    """Run the benches and reports named as arguments, or all benches."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join([*BENCHES, *REPORTS]))
    parser.add_argument("--base", type=Path, help="the JSON file of an earlier run, to compare with")
    parser.add_argument("--repetitions", type=int, default=REPETITIONS, help="measurements of each figure")
    parser.add_argument("--json", type=Path, default=Path("var/bench.json"), help="where to write the figures")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in BENCHES and name not in REPORTS]
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}; choose from {', '.join([*BENCHES, *REPORTS])}")
    base = None if options.base is None else read_base(options.base)
    began = time.monotonic()
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="st2s-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        mongodb, rabbitmq = MongoDB(folder), RabbitMQ(folder)
        mongodb.start()
        rabbitmq.start()
        try:
            for chosen in options.names or BENCHES:
                (folder / chosen).mkdir()
                with closing(Workspace(folder / chosen, database=mongodb.url, messaging=rabbitmq.url)) as workspace:
                    if chosen in REPORTS:
                        REPORTS[chosen](workspace)
                    else:
                        results += run(BENCHES[chosen], workspace, options.repetitions)
        finally:
            rabbitmq.stop()
            mongodb.stop()
    if results:
        Console(width=160).print(table_of(results, base))
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(document_of(results), indent=1) + "\n")
        minutes = (time.monotonic() - began) / 60
        print(f"written to {options.json} after {minutes:.1f} minutes; make bench BASE=FILE compares with a copy of it")


def run(bench: Bench, workspace: Workspace, repetitions: int) -> list[Result]:
    samples = list(itertools.islice(bench.repetitions(workspace), repetitions))
    return list(results_of(bench.rows, samples))


if __name__ == "__main__":
    main()
