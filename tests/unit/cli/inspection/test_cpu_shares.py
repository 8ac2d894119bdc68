"""Processor shares between two samples."""

from __future__ import annotations

from st2sensor.cli.inspection.cpu_shares import CpuShares
from tests.support.control_peer import report


def test_the_processor_is_shared_between_two_looks() -> None:
    processor = CpuShares()
    assert processor.shares([report(pid=1, cpu=5.0)], 100.0) == {"p.S": None}
    assert processor.shares([report(pid=1, cpu=6.0)], 102.0) == {"p.S": 50.0}
    assert processor.shares([report(pid=2, cpu=0.5)], 104.0) == {"p.S": None}
    assert processor.shares([report(pid=2)], 106.0) == {}
