"""The protocol of shared sensors, as a model: spin explores everything that can happen."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.plugins.patience import AT_LAST

MODEL = Path(__file__).parents[1] / "model" / "lease.pml"

SOUND = [
    pytest.param(["LIVES=3", "FENCES=2", "KEEPS"], id="containers that come again", marks=pytest.mark.soak(minutes=6)),
    pytest.param(["LIVES=2", "FENCES=3"], id="a lease that is released", marks=pytest.mark.soak(minutes=6)),
    pytest.param(["LIVES=2", "FENCES=2", "BATCHES=2", "KEEPS"], id="batches", marks=pytest.mark.soak),
    pytest.param(["LIVES=2", "FENCES=2", "KEEPS", "PAUSES"], id="pauses that boot clocks miss", marks=pytest.mark.soak),
    pytest.param(["LIVES=2", "FENCES=2", "KEEPS", "TWINS"], id="two with one memory", marks=pytest.mark.soak),
    pytest.param(
        ["LIVES=3", "FENCES=3", "KEEPS", "PROMPT"], id="a successor that is not paused", marks=pytest.mark.soak
    ),
]

BROKEN = [
    ["NO_FENCE", "KEEPS"],
    pytest.param(["ANY_FENCE", "KEEPS"], marks=pytest.mark.soak(minutes=2)),
    ["DEADLINE_AFTER", "KEEPS"],
    ["NO_MARGIN", "KEEPS"],
    ["NO_EVICT_CAS", "KEEPS"],
    ["NO_TAKE_CAS", "KEEPS"],
    ["NO_RELEASE_FENCE"],
    ["TAKE_BACK"],
    pytest.param(["NO_BATCH_FENCE", "BATCHES=1", "KEEPS"], marks=pytest.mark.soak),
    ["NO_BATCH_COUNT", "BATCHES=1", "KEEPS"],
    pytest.param(["NO_JUMP", "LIVES=2", "FENCES=2", "KEEPS", "PAUSES"], marks=pytest.mark.soak),
    pytest.param(["NO_RENEWAL_CAS", "LIVES=2", "FENCES=1", "KEEPS", "TWINS"], marks=pytest.mark.soak),
    pytest.param(["SAME_VALUES", "BATCHES=2", "LIVES=2", "FENCES=2", "KEEPS"], marks=pytest.mark.soak),
]

REACHED = [pytest.param(["REACH_TAKEOVER", "KEEPS"], marks=pytest.mark.soak), ["REACH_BATCH", "BATCHES=1", "KEEPS"]]


def verdict(folder: Path, switches: list[str], *, optimize: bool = False) -> str:
    """Return what the verifier says of the model with these switches.

    :param optimize: compile for a search that takes longer than the compiler; a search that finds an error is short.
    """
    if shutil.which("spin") is None or shutil.which("gcc") is None:
        missing("no spin, or no gcc: as root, make test installs Debian's")
    defined = [f"-D{switch}" for switch in switches]
    for command in (
        ["spin", *defined, "-a", str(MODEL)],
        ["gcc", "-O2" if optimize else "-O0", "-w", "-DSAFETY", "-DMEMLIM=2000", "-o", "pan", "pan.c"],
    ):
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    done = subprocess.run(["./pan", "-m2000000", "-w22"], cwd=folder, capture_output=True, text=True, timeout=AT_LAST)
    return done.stdout + done.stderr


@pytest.mark.parametrize("switches", SOUND)
def test_nothing_goes_wrong_whatever_is_paused_or_killed(folder: Path, switches: list[str]) -> None:
    said = verdict(folder, switches, optimize=True)
    assert "errors: 0" in said, said
    # The search was complete: neither the depth nor the memory was too small, and no state was taken for another.
    assert "Full statespace search" in said, said
    for short in ("too small", "MEMLIM", "out of memory", "not completed", "Bit statespace", "Hash-Compact"):
        assert short not in said, said
    # Each step is taken in some run; but no process reaches its end.
    never = [line.strip() for line in said.splitlines() if ", state " in line and "-end-" not in line]
    assert not never, said


@pytest.mark.parametrize("switches", BROKEN, ids="-".join)
def test_without_one_of_its_rules_the_protocol_breaks(folder: Path, switches: list[str]) -> None:
    assert "assertion violated" in verdict(folder, switches)


@pytest.mark.parametrize("switches", REACHED, ids="-".join)
def test_the_lease_changes_hands(folder: Path, switches: list[str]) -> None:
    assert "assertion violated" in verdict(folder, switches)
