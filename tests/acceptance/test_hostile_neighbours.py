"""One bad thing harms only itself: a healthy sensor next to each of many hostile things."""

from __future__ import annotations

import pytest

from tests.hostile.case import Case
from tests.hostile.files import FILES
from tests.hostile.neighbour import live_beside
from tests.hostile.payloads import PAYLOADS
from tests.hostile.peers import PEERS
from tests.hostile.processes import PROCESSES
from tests.support.workspace import Workspace

CASES = [*PAYLOADS, *PROCESSES, *PEERS, *FILES]


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.name, marks=() if case.quick else pytest.mark.soak) for case in CASES]
)
def test_a_hostile_thing_harms_only_itself(served: Workspace, case: Case) -> None:
    assert live_beside(served, case) > 0
