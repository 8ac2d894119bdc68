"""`st2sensor dev`: runs the sensors of packs that are being written, and shows all that they do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from st2sensor.cli.development.content import asked
from st2sensor.cli.development.run import Options, run
from st2sensor.cli.invocation import examples, recorded


@click.command(
    epilog=examples(
        "st2sensor dev packs/examples",
        "st2sensor dev packs/linux --trigger 'linux.file_watch.line file_path=/tmp/app.log'",
        "st2sensor dev packs/examples --sensor SampleSensor --record seen.jsonl",
        "st2sensor dev ~/packs/github --config github.yaml --fresh",
    )
)
@click.argument(
    "packs",
    nargs=-1,
    required=True,
    metavar="PACK_DIR...",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.option("--sensor", "sensors", multiple=True, metavar="SENSOR", help="Run only this one; class or PACK.CLASS.")
@click.option(
    "--config",
    "configs",
    multiple=True,
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The pack's configuration; with several packs FILE is PACK.yaml. [default: what the schema's defaults say]",
)
@click.option(
    "--trigger",
    "triggers",
    multiple=True,
    metavar="'TYPE K=V...'",
    help="Ask for a trigger with parameters, as a rule would; in quotes, values as in YAML.",
)
@recorded
@click.option(
    "--state-dir",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where datastore and virtualenvs are kept. [default: below ~/.cache/st2sensor/dev, by pack]",
)
@click.option("--fresh", is_flag=True, help="Start with an empty datastore.")
@click.option("--no-virtualenv", is_flag=True, help="Install no requirements: run with what this interpreter has.")
@click.option("--common-libs", is_flag=True, help="Let sensors import from the pack's lib/, as [packs] in st2.conf.")
def dev(
    packs: Sequence[Path],
    sensors: Sequence[str],
    configs: Sequence[Path],
    triggers: Sequence[str],
    record: Path | None,
    state_dir: Path | None,
    fresh: bool,
    no_virtualenv: bool,
    common_libs: bool,
) -> int:
    """Run the sensors of packs, and restart those whose files are saved, until Ctrl-C.

    Needs no server, no configuration and no root. Shows triggers, those that do not fit their schema, the log, and
    what changes in the datastore. The packs' folders are only read.
    """
    return run(
        Options(
            packs=packs,
            sensors=sensors,
            configs=configs,
            triggers=[asked(text) for text in triggers],
            record=record,
            state_dir=state_dir,
            fresh=fresh,
            virtualenvs=not no_virtualenv,
            common_libs=common_libs,
        )
    )
