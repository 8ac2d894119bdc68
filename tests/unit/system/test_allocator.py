"""Memory of large blocks, in a process of its own: what it has freed earlier would count."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.workspace import ROOT

GROWTH = """
import sys
import psutil
from st2sensor.system.allocator import map_large_blocks

if sys.argv[1] == "mapped":
    map_large_blocks()
rss = psutil.Process().memory_info
before = rss().rss
first = b"x" * 30_000_000
del first
for _ in range(3):
    block = b"x" * 20_000_000
    # This lies above the block in the heap.
    above = b"x" * 100_000
    del block
print(rss().rss - before)
"""


@pytest.mark.parametrize(("mapped", "is_returned"), [("mapped", True), ("as it is", False)])
def test_large_blocks_are_returned_when_they_are_freed(mapped: str, is_returned: bool) -> None:
    done = subprocess.run([sys.executable, "-c", GROWTH, mapped], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (int(done.stdout) < 5_000_000) is is_returned
