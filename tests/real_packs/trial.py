"""Tests one pack: which sensors load, and which triggers they dispatch in a scenario."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml

from tests.real_packs import configs
from tests.real_packs.packs import RealPack, SensorFile
from tests.real_packs.stage import NotHere, Play, Running, Scenario, Stage
from tests.support.workspace import Workspace

PROBLEM = re.compile(r"(WARNING|ERROR|CRITICAL)\b.*|\w+(Error|Exception): .+")
"""Pattern of a log line that says why a sensor did not dispatch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorRow:
    """The result for a sensor's metadata file, or for other content of the pack."""

    pack: str
    file: str
    error: str = ""
    """The product's error, if it does not load."""
    triggers: Mapping[str, int] = field(default_factory=dict)
    note: str = ""


def register(pack: RealPack, workspace: Workspace) -> list[SensorRow]:
    """Register the pack's content; return a row for each sensor's file, and for any other content that failed."""
    done = workspace.reload("--register-all")
    said = [line.removeprefix("error: ") for line in done.stderr.splitlines() if line.startswith("error: ")]
    errors = [_shown(error, workspace) for error in said]
    registered = {Path(item["metadata_file"]).name: item for item in workspace.documents("st2sensor_registrations")}
    rows = []
    for sensor in pack.sensors:
        own = registered.get(sensor.name)
        if own is not None:
            error = _shown(own.get("error") or "", workspace)
        else:
            error = next((error for error in errors if f"/{sensor.name}" in error), done.stderr.strip() or "?")
        rows.append(SensorRow(pack=pack.name, file=f"sensors/{sensor.name}", error=error))
    explained = {row.error for row in rows}
    others = [error for error in dict.fromkeys(errors) if error not in explained]
    return rows + [SensorRow(pack=pack.name, file="(other)", error=error) for error in others]


def perform(pack: RealPack, workspace: Workspace, folder: Path, scenario: Scenario | None) -> list[SensorRow]:
    """Register the pack, and play its scenario, if it has one."""
    with ExitStack() as servers:
        note = ""
        try:
            play = scenario(Stage(pack, workspace, folder, servers)) if scenario else None
        except NotHere as missing:
            play, note = None, f"not played: {missing}"
        _write(workspace.folder / "configs" / f"{pack.ref}.yaml", _config(pack, play))
        if play is not None:
            _write(workspace.folder / "overrides" / f"{pack.ref}.yaml", _overrides(play))
        rows = register(pack, workspace)
        if play is None or not _loaded(rows, pack, play):
            return [replace(row, note=note) for row in rows]
        counts, problem = _play(Stage(pack, workspace, folder, servers), play)
    reasons = _dead_letters(workspace)
    return [_told(row, pack, play, counts, problem, reasons) for row in rows]


def _loaded(rows: Sequence[SensorRow], pack: RealPack, play: Play) -> bool:
    """Return whether any sensor of the play has loaded."""
    errors = {row.file: row.error for row in rows}
    return any(not errors[f"sensors/{one.name}"] for one in pack.sensors if one.class_name in play.sensors)


def copy(pack: RealPack, workspace: Workspace) -> None:
    """Copy the pack into the workspace; if it has lib/, let its sensors import from there."""
    if (pack.path / "lib").is_dir():
        workspace.configure("[packs]\nenable_common_libs = True")
    shutil.copytree(pack.path, workspace.packs / pack.ref, symlinks=True, ignore=shutil.ignore_patterns(".git"))


def _play(stage: Stage, play: Play) -> tuple[Counter[str], str]:
    """Return how often each trigger arrived, and the problem, if any."""
    workspace = stage.workspace
    problem = ""
    with patch.dict(os.environ, play.variables):
        play.prepare(workspace)
        listener = workspace.listen()
        container = workspace.start()
    running = Running(stage, container, listener)
    try:
        play.stimulate(running)
        for trigger in play.arrive:
            running.arrives(trigger)
        for text in play.logged:
            running.logs(text)
    except (AssertionError, OSError) as error:
        problem = f"{str(error).splitlines()[0]}; {_last_problem(container.log)}"
    if container.process.poll() is None:
        container.stop()
    listener.close()
    return Counter(message.trigger for message in listener.seen), problem


def _told(
    row: SensorRow, pack: RealPack, play: Play, counts: Counter[str], problem: str, reasons: Mapping[str, str]
) -> SensorRow:
    """Return a row with the results of its sensor after the play."""
    sensor = next((sensor for sensor in pack.sensors if row.file == f"sensors/{sensor.name}"), None)
    if sensor is None or sensor.class_name not in play.sensors or row.error:
        return row
    own = {trigger: counts[trigger] for trigger in _triggers(sensor, pack, counts) if counts[trigger]}
    refused = reasons.get(f"{pack.ref}.{sensor.class_name}", "")
    # Other sensors of the play may have failed.
    outcome = "" if own else problem or play.proves.get(sensor.class_name)
    parts = [play.note, outcome, refused and f"dead letter: {refused}"]
    return replace(row, triggers=own, note="; ".join(filter(None, parts)))


def _triggers(sensor: SensorFile, pack: RealPack, counts: Counter[str]) -> Iterator[str]:
    """Yield the types that a sensor declares; if it declares none, the types of its pack that no sensor declares."""
    yield from sensor.trigger_types
    if not sensor.trigger_types:
        declared = {trigger for other in pack.sensors for trigger in other.trigger_types}
        yield from (trigger for trigger in counts if trigger not in declared and trigger.startswith(f"{pack.ref}."))


def _dead_letters(workspace: Workspace) -> dict[str, str]:
    """Return why triggers were not published, by sensor."""
    done = workspace.run("st2sensor", "--config-file", str(workspace.config), "dead-letters", "list", "--json")
    letters = json.loads(done.stdout) if done.returncode == 0 else []
    return {letter["sensor"]: letter["reason"] for letter in letters}


def _config(pack: RealPack, play: Play | None) -> dict[str, Any]:
    return {**configs.sample(pack.schema), **({} if play is None else play.config)}


def _overrides(play: Play) -> dict[str, Any]:
    """Return overrides with which only the play's sensors run."""
    intervals = {name: {"poll_interval": interval} for name, interval in play.sensors.items() if interval is not None}
    return {
        "sensors": {
            "defaults": {"enabled": False},
            "exceptions": {name: {"enabled": True} for name in play.sensors},
        },
        "st2sensor": {"exceptions": intervals},
    }


def _write(file: Path, content: dict[str, Any]) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(yaml.safe_dump(content))


def _shown(message: str, workspace: Workspace) -> str:
    """Return a message without the workspace's path."""
    return message.replace(f"{workspace.folder}/", "")


def _last_problem(log: str) -> str:
    found = [match.group() for line in log.splitlines() if (match := PROBLEM.search(line))]
    return found[-1] if found else "the log names no problem"
