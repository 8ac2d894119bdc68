"""`python -m tests.fleet`: disturbs containers that share sensors, and reports which rules they broke."""

from __future__ import annotations

import argparse
import json
import logging
import random
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.fleet.checker import Run, Violation, check, gaps, of_sensor, shared
from tests.fleet.faults import Storm, cuts, excused, plan
from tests.fleet.fleet import Fleet, ready
from tests.fleet.ledger import now
from tests.fleet.network import available, refused
from tests.fleet.servers import Servers, running
from tests.plugins.patience import FACTOR

IN_FLIGHT = 2.0 * FACTOR
"""Maximum seconds from the sending of a message to its arrival here."""

STARTS = 5.0 * FACTOR
"""Seconds, in addition to the lease, within which a container's sensors must start elsewhere on a machine this busy."""

SHOWN = 50
"""Maximum number of violations that are printed; all of them are in the folder."""


def main() -> int:
    """Run the fleet; return 1 if a rule was broken."""
    options = parse()
    if not available():
        print("network namespaces cannot be made here, so nothing was tested: run as root, with iproute2")
        return 0 if refused() else 1
    # Namespaces and servers are also removed when this process is ended from outside.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    folder = Path(tempfile.mkdtemp(prefix="st2s-"))
    logging.basicConfig(filename=folder / "faults.log", level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    print(f"{options}\nin {folder}", flush=True)
    names = [f"c{number + 1}" for number in range(options.containers)]
    with (
        running(folder, names) as servers,
        ready(folder / "w", servers, sensors=options.sensors, lease=options.lease, provider=options.provider) as fleet,
    ):
        problems = endure(fleet, servers, options, folder)
    print("\n".join(problems[:SHOWN]) or "no rule was broken")
    if not problems:
        shutil.rmtree(folder, ignore_errors=True)
        return 0
    (folder / "problems").write_text("\n".join(problems))
    print(f"{len(problems)} problems; all records are in {folder}")
    return 1


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fleet", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--faults", type=int, help="5 a minute")
    parser.add_argument("--sensors", type=int, default=60)
    parser.add_argument("--containers", type=int, default=3)
    parser.add_argument("--lease", type=float, default=5, help="seconds")
    parser.add_argument("--gap", type=float, help=f"seconds without a sign of a sensor; lease + {STARTS:g}")
    parser.add_argument("--provider", default="name:shared", help="partition_provider of the containers")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    options.faults = options.faults or round(options.minutes * 5)
    return options


def endure(fleet: Fleet, servers: Servers, options: argparse.Namespace, folder: Path) -> list[str]:
    """Start the fleet, inject the faults, let calm return, and check; return the problems."""
    for node in fleet.nodes.values():
        node.start()
    fleet.wait_until_all_count()
    begin = now()
    faults = plan(
        random.Random(options.seed), list(fleet.nodes), options.faults, options.minutes * 60, lease=options.lease
    )
    storm = Storm(nodes=fleet.nodes, network=servers.network, replica_set=servers.replica_set)
    storm.blow(faults)
    problems = [*storm.errors, *attempt(fleet.wait_until_all_count)]
    end = now()
    problems += attempt(fleet.stop)
    run = Run(
        records=fleet.ledger.records(),
        lines=fleet.journal.lines(),
        observed=(begin, end),
        gap=options.gap or options.lease + STARTS,
        in_flight=IN_FLIGHT,
        excused=excused(storm.effects, options.lease),
        cuts=cuts(storm.effects),
    )
    with (folder / "ledger").open("w") as ledger:
        ledger.writelines(json.dumps(asdict(record)) + "\n" for record in run.records)
    violations = check(run, fleet.sensors)
    show(run, fleet.sensors, [fault.kind for fault in faults], violations)
    return problems + [f"{found.rule}: {found.sensor}: {found.text}" for found in violations]


def attempt(act: Callable[[], None]) -> list[str]:
    """Return why it could not be done, if so; the records tell more."""
    try:
        act()
    except AssertionError as error:
        return [str(error)]
    return []


def show(run: Run, sensors: Sequence[str], faults: Sequence[str], violations: Sequence[Violation]) -> None:
    """Print the numbers of the run."""
    fences = {(record.sensor, record.fence) for record in run.records}
    distinct = {record.message_id for record in run.records}
    longest, span = max(gap for sensor in sensors for gap in gaps(of_sensor(run, sensor)))
    table = Table("", "", show_header=False)
    for kind, count in sorted(Counter(faults).items()):
        table.add_row(kind, str(count))
    table.add_section()
    table.add_row("events", str(len(distinct)))
    table.add_row("takeovers", str(len(fences) - len(sensors)))
    table.add_row("messages that came again", str(len(run.records) - len(distinct)))
    table.add_row("marked late", str(sum(record.late for record in run.records)))
    table.add_row("longest gap, but for what is excused", f"{longest:.2f} s, {span[0]:.2f} to {span[1]:.2f}")
    table.add_row("seconds excused", f"{shared(run.observed, run.excused):.0f}")
    table.add_section()
    for rule, count in sorted(Counter(found.rule for found in violations).items()):
        table.add_row(f"violations of {rule}", str(count))
    Console(width=120).print(table)


if __name__ == "__main__":
    sys.exit(main())
