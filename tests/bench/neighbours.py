"""Measures how long a healthy sensor is silent next to hostile cases."""

from __future__ import annotations

from tests.hostile.files import FILES
from tests.hostile.neighbour import live_beside
from tests.hostile.payloads import PAYLOADS
from tests.hostile.peers import PEERS
from tests.hostile.processes import PROCESSES
from tests.support.workspace import Workspace


def report(workspace: Workspace) -> None:
    """Print the longest silence of a sensor that dispatches every 0.2 s, next to each of the quick hostile cases."""
    print("longest silence of a healthy sensor, which dispatches every 0.2 s, next to")
    for number, case in enumerate(case for case in (*PAYLOADS, *PROCESSES, *PEERS, *FILES) if case.quick):
        folder = workspace.folder / str(number)
        folder.mkdir()
        beside = Workspace(folder, database=workspace.database, messaging=workspace.messaging)
        try:
            print(f"  {case.name:<50} {live_beside(beside, case):6.2f} s")
        finally:
            beside.close()
