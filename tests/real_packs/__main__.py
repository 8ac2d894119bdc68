"""`make packs PACKS=FOLDER`: tests the packs in a folder, each in a workspace of its own, and prints their rows."""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from tests.real_packs import environments, own_tests, packs, report, trial
from tests.real_packs.own_tests import TestRow
from tests.real_packs.packs import RealPack
from tests.real_packs.scenarios import SCENARIOS
from tests.real_packs.trial import SensorRow
from tests.support.workspace import Workspace


def main() -> int:
    """Test the packs; return 0 whatever they do, and 2 if the folder or a pack is missing."""
    parser = argparse.ArgumentParser(prog="python -m tests.real_packs", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder with a folder for each pack")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="test only this pack; repeatable")
    parser.add_argument("--keep-venvs", type=Path, metavar="FOLDER", help="keep virtualenvs for the next run")
    options = parser.parse_args()
    progress = Console(stderr=True, highlight=False, markup=False)
    try:
        chosen = packs.find(options.folder, options.only)
    except LookupError as error:
        progress.print(f"error: {error}")
        return 2
    if options.keep_venvs is not None:
        options.keep_venvs.mkdir(parents=True, exist_ok=True)
    print(report.HEADING, flush=True)
    for number, pack in enumerate(chosen, start=1):
        progress.print(f"{number}/{len(chosen)} {pack.name}")
        sensors, tests = attempt(pack, options.keep_venvs)
        print(*map(report.sensor, sensors), *map(report.tests, tests), sep="\n", flush=True)
    return 0


def attempt(pack: RealPack, keep: Path | None) -> tuple[list[SensorRow], list[TestRow]]:
    """Test one pack: its sensors, then its own tests."""
    with tempfile.TemporaryDirectory(prefix="st2s-", ignore_cleanup_errors=True) as name:
        home, props = Path(name) / "w", Path(name) / "props"
        home.mkdir()
        props.mkdir()
        workspace = Workspace(home, database="sqlite://", messaging="local://")
        workspace.warnings = "default"
        try:
            trial.copy(pack, workspace)
            left_out = environments.set_up(pack, workspace, keep)
            rows = trial.perform(pack, workspace, props, SCENARIOS.get(pack.name))
            tests = own_tests.run(pack, workspace)
        finally:
            workspace.close()
    if left_out:
        lacks = f"without {', '.join(left_out)}"
        rows = [replace(row, note="; ".join(filter(None, [row.note, lacks]))) for row in rows]
    return rows, tests


sys.exit(main())
