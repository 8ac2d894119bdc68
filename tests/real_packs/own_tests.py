"""Packs' own tests of their sensors, run on the product's `st2tests`."""

from __future__ import annotations

import json
import os
import re
import site
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.real_packs import environments
from tests.real_packs.packs import RealPack
from tests.support.workspace import ROOT, Workspace

TIMEOUT = 120
"""Seconds for one file."""

RUN = """\
import json, sys, unittest
sys.path += {fallback!r}
result = unittest.main(module=None, argv=["unittest", {module!r}], exit=False).result
lost = result.failures + result.errors + result.skipped
print(json.dumps([result.testsRun, len({{test.id() for test, _ in lost}})]))
"""
"""The packages of this environment come last, as when a sensor is loaded. The script prints how many tests ran, and how
many of them did not pass."""

PROBLEM = re.compile(r"^(?:[\w.]+\.)?\w*(?:Error|Exception|NotFound)\b.*", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class TestRow:
    """The result of a file of tests."""

    pack: str
    file: str
    passed: int
    run: int
    note: str = ""


def run(pack: RealPack, workspace: Workspace) -> list[TestRow]:
    """Run the pack's tests of sensors, each file in a process of its own."""
    return [_run(pack, workspace, file.relative_to(pack.path)) for file in pack.tests]


def _run(pack: RealPack, workspace: Workspace, file: Path) -> TestRow:
    copy = workspace.packs / pack.ref
    folders = [copy / "tests", copy / "sensors", copy / "lib", copy / "actions", copy / "actions" / "lib", copy]
    paths = [*folders, ROOT / "st2sensor" / "compat", ROOT]
    code = RUN.format(fallback=site.getsitepackages(), module=file.stem)
    try:
        done = subprocess.run(
            [environments.interpreter(pack, workspace), "-c", code],
            cwd=copy / file.parent,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return TestRow(pack=pack.name, file=str(file), passed=0, run=0, note=f"took more than {TIMEOUT} s")
    total, lost = counts(done.stdout)
    problems = dict.fromkeys(PROBLEM.findall(done.stderr))
    return TestRow(pack=pack.name, file=str(file), passed=total - lost, run=total, note="; ".join(problems))


def counts(output: str) -> tuple[int, int]:
    """Return how many tests ran, and how many of them did not pass; in a process that died, none ran."""
    lines = output.splitlines()
    if not lines or not lines[-1].startswith("["):
        return 0, 0
    ran, lost = json.loads(lines[-1])
    return ran, lost
