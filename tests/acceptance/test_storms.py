"""Faults that come down at random for minutes, and every bench once: each is a program that also runs by itself."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.bench.__main__ import BENCHES
from tests.plugins.patience import AT_LAST, SOON
from tests.support.workspace import ROOT, environment

MINUTES = float(os.environ.get("STORM_MINUTES", "2"))
"""That a storm blows."""

STUCK = 60 * MINUTES + 2 * AT_LAST
"""Seconds until a program counts as stuck."""

STORMS = {
    "sensors that crash, hang and flood": ["tests.soak"],
    "containers and networks that fail": ["tests.fleet", "--gap", f"{SOON:g}"],
}


@pytest.mark.soak(minutes=MINUTES + 2)
@pytest.mark.parametrize("storm", STORMS)
def test_a_storm_breaks_no_promise(storm: str) -> None:
    print_and_succeed(*STORMS[storm], "--minutes", f"{MINUTES:g}")


@pytest.mark.soak(minutes=3)
@pytest.mark.parametrize("bench", BENCHES)
def test_a_bench_runs_to_its_end(bench: str) -> None:
    print_and_succeed("tests.bench", bench)


@pytest.mark.soak(minutes=6)
def test_ten_times_as_many_generated_examples_agree() -> None:
    print_and_succeed("pytest", "-q", "tests/unit", "tests/backends", examples=3)


def print_and_succeed(module: str, *arguments: str, examples: float = 1) -> None:
    """The output is shown when it fails. Raises subprocess.TimeoutExpired for one that is stuck."""
    variables = {**environment("default"), "EXAMPLES": str(examples)}
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=ROOT, env=variables, timeout=STUCK, check=False
    )
    assert done.returncode == 0
