"""`st2sensor dev`: run the sensors of packs while they are being written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from st2sensor.cli.development.content import parse_trigger
from st2sensor.cli.development.run import Options, run


def dev(
    _config_files: Sequence[str],
    *,
    packs: Sequence[Path],
    sensors: Sequence[str],
    configs: Sequence[Path],
    triggers: Sequence[str],
    record: Path | None,
    state_dir: Path | None,
    fresh: bool,
    no_virtualenv: bool,
    common_libs: bool,
    json_output: bool,
) -> int:
    return run(
        Options(
            packs=packs,
            sensors=sensors,
            configs=configs,
            triggers=[parse_trigger(text) for text in triggers],
            record=record,
            state_dir=state_dir,
            fresh=fresh,
            virtualenvs=not no_virtualenv,
            common_libs=common_libs,
            json_output=json_output,
        )
    )
