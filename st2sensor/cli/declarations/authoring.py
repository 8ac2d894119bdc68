"""Commands of `st2sensor` for authors of sensors."""

from __future__ import annotations

from pathlib import Path

import click

from st2sensor.cli.declarations.shared import as_json, examples, named_sensor, recorded
from st2sensor.cli.invocation import runs


@click.command(
    epilog=examples(
        "st2sensor init incoming --polling",
        "st2sensor init packs/clock --sensor WallClock",
    )
)
@click.argument("folder", metavar="PACK")
@click.option("--sensor", "class_name", metavar="NAME", help="The sensor's class. [default: after the pack]")
@click.option(
    "--polling", is_flag=True, help="A sensor whose poll() is called now and then, not one whose run() waits."
)
@runs("st2sensor.cli.commands.init:init")
def init() -> None:
    """Make a pack in a new folder PACK: a sensor that runs as it is, its metadata, a rule, a configuration, tests.

    PACK may be a path, whose last part is the pack's name.
    """


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
@runs("st2sensor.cli.commands.dev:dev")
def dev() -> None:
    """Run the sensors of packs, and restart those whose files are saved, until Ctrl-C.

    Needs no server, no configuration and no root. Shows triggers, those that do not fit their schema, the log, and
    what changes in the datastore. The packs' folders are only read.
    """


@click.command(
    epilog=examples(
        "st2sensor validate .",
        "st2sensor validate --strict --json packs/*",
        "st2sensor validate --config my_pack.yaml packs/my_pack",
        "st2sensor --config-file /etc/st2/st2.conf validate /opt/stackstorm/packs/my_pack",
    ),
)
@click.argument(
    "folders", nargs=-1, required=True, metavar="PACK_DIR...", type=click.Path(exists=True, file_okay=False)
)
@click.option(
    "--config",
    "configs",
    multiple=True,
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="A pack's configuration to check; with several packs it is that of the pack it is named after.",
)
@click.option("--strict", is_flag=True, help="End with exit code 1 also when there are only warnings.")
@as_json
@runs("st2sensor.cli.commands.validate:validate")
def validate() -> None:
    """Say all that is wrong with some packs, as far as it can be known without running them.

    Needs no server, no database and no configuration. With one, packs' virtualenvs and configurations are those that it
    names; without, code is loaded by this Python.

    Ends with exit code 1 when there are errors.
    """


@click.command(epilog=examples("st2sensor run linux.FileWatchSensor", "st2sensor --debug run examples.CursorSensor"))
@named_sensor
@runs("st2sensor.cli.commands.run:sensor", quiet=False)
def run() -> None:
    """Run one sensor in this terminal, so that breakpoint() works in it.

    It is given the configured database and broker, as it is registered, enabled or not; a container that runs it, too,
    goes on. No time limit stops it, and it is not started again: this ends with its exit code. Ctrl-C stops it.
    """


@click.command(
    epilog=examples(
        "st2sensor dev packs/linux --record seen.jsonl",
        "st2sensor --config-file conf/st2.dev.conf replay seen.jsonl",
        "st2sensor --config-file conf/st2.dev.conf replay seen.jsonl --at-once --to linux.file_watch.line",
    )
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    metavar="N",
    help="So many times as fast as it was recorded.",
)
@click.option("--at-once", is_flag=True, help="Without the pauses.")
@click.option("--to", "types", multiple=True, metavar="TYPE", help="Only triggers of this type; may be repeated.")
@click.option("--keep-ids", is_flag=True, help="With the recorded message_id; consumers may drop those as duplicates.")
@click.option("--force", is_flag=True, help="Publish also what is unknown or does not fit its schema.")
@runs("st2sensor.cli.commands.replay:replay")
def replay() -> None:
    """Publish the triggers that --record wrote to FILE, in order, at the pace of their recording.

    Nothing is published unless the whole file is sound. A trigger that is unknown here, or does not fit its schema, is
    left out.
    """


@click.command(epilog=examples("st2sensor --config-file conf/st2.dev.conf demo"))
@runs("st2sensor.cli.commands.demo:demo")
def demo() -> None:
    """Register the packs, run a container, and show each trigger, until Ctrl-C."""
