"""`st2sensor validate`: check packs for mistakes without running them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from st2sensor.cli.configuration import configured_if_any
from st2sensor.cli.text import units
from st2sensor.cli.text.console import console
from st2sensor.packs.validation import packs as validation
from st2sensor.packs.validation.finding import Finding, Severity
from st2sensor.packs.validation.packs import Report, pack_refs

STYLES = {Severity.ERROR: Style(color="red", bold=True), Severity.WARNING: Style(color="yellow")}


def validate(
    config_files: Sequence[str], *, folders: Sequence[str], configs: Sequence[str], strict: bool, json_output: bool
) -> int:
    settings = configured_if_any(config_files)
    packs = list(map(Path, folders))
    content, secrets = (None, None) if settings is None else (settings.content, settings.secrets)
    report = validation.validate(packs, content, _configs(packs, configs), secrets)
    if json_output:
        click.echo(json.dumps([_fields(finding) for finding in report.findings], indent=2))
    else:
        _show(report, console())
    errors = sum(finding.severity is Severity.ERROR for finding in report.findings)
    return 1 if errors or (strict and report.findings) else 0


def _configs(packs: Sequence[Path], files: Sequence[str]) -> Mapping[str, Path]:
    """Return the configuration files by pack. Raises click.UsageError for a file that belongs to no pack."""
    if not files:
        return {}
    refs = pack_refs(packs)
    if len(refs) == len(files) == 1:
        return {refs[0]: Path(files[0])}
    found = {Path(file).name.partition(".")[0]: Path(file) for file in files}
    unknown = [str(path) for ref, path in found.items() if ref not in refs]
    if unknown or len(found) < len(files):
        raise click.UsageError(f"--config {unknown[0] if unknown else files[-1]}: name the file after its pack, once")
    return found


def _show(report: Report, out: Console) -> None:
    if not report.findings:
        out.print(f"{units.count(report.packs, 'pack')}, {units.count(report.sensors, 'sensor')}: nothing is wrong")
        return
    if out.is_terminal:
        out.print(_table(report.findings))
    else:
        for finding in report.findings:
            place = f"{_shown(finding)}:{finding.line or 1}"
            message = " ".join(finding.message.split())
            click.echo(f"{place}: {finding.severity.value}: {message} [{finding.rule}]")
    counts = [
        units.count(sum(finding.severity is severity for finding in report.findings), severity.value)
        for severity in Severity
    ]
    out.print(f"{', '.join(counts)} in {units.count(report.packs, 'pack')}, {units.count(report.sensors, 'sensor')}")


def _table(findings: Sequence[Finding]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(overflow="fold", ratio=2)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", ratio=3)
    for pack, group in groupby(findings, key=lambda finding: finding.pack):
        table.add_row(Text(pack, style="bold"))
        for finding in group:
            place = _shown(finding) + (f":{finding.line}" if finding.line else "")
            severity = Text(finding.severity.value, style=STYLES[finding.severity])
            table.add_row(f"  {place}", severity, f"{finding.message} [{finding.rule}]")
    return table


def _fields(finding: Finding) -> dict[str, Any]:
    return {
        "pack": finding.pack,
        "file": _shown(finding),
        "line": finding.line,
        "severity": finding.severity.value,
        "rule": finding.rule,
        "message": finding.message,
    }


def _shown(finding: Finding) -> str:
    """Return the path of the file, relative to the working directory if the file is inside it."""
    here = os.getcwd()
    return os.path.relpath(finding.file) if Path(finding.file).is_relative_to(here) else finding.file
