"""The commands of `st2sensor` for authors of sensors."""

from __future__ import annotations

from pathlib import Path

import click

from st2sensor.cli.declarations.events import filters
from st2sensor.cli.declarations.shared import as_json, examples, named_sensor, recorded
from st2sensor.cli.invocation import runs

section = click.Group("For authors of sensors")


def _rate(context: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    """Return the number of events in a second that a text such as `100/s` or `100` names."""
    if text is None:
        return None
    try:
        rate = float(text.removesuffix("/s"))
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise click.BadParameter(f"{text!r} is not a rate: write for example 100/s", context, parameter)
    return rate


@section.command(
    epilog=examples(
        "st2sensor init incoming --polling",
        "st2sensor init packs/clock --sensor WallClock",
    )
)
@click.argument("folder", metavar="PACK")
@click.option("--sensor", "class_name", metavar="NAME", help="Class of the sensor. [default: named after the pack]")
@click.option(
    "--polling", is_flag=True, help="Make a sensor with a poll() that is called regularly, instead of one with a run()."
)
@as_json
@runs("st2sensor.cli.commands.init:init")
def init() -> None:
    """Create a pack in a new folder PACK.

    The pack has a working sensor, its metadata, a rule, a configuration and tests. PACK may be a path; its last part
    becomes the pack's name.
    """


@section.command(
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
@click.option(
    "--sensor",
    "sensors",
    multiple=True,
    metavar="SENSOR",
    help="Run only this sensor: its class, or PACK.CLASS. May be repeated.",
)
@click.option(
    "--config",
    "configs",
    multiple=True,
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Configuration of the pack. With several packs, name the file PACK.yaml. [default: the schema's defaults]",
)
@click.option(
    "--trigger",
    "triggers",
    multiple=True,
    metavar="'TYPE K=V...'",
    help="Add a trigger with parameters, as a rule would. Quote the whole text; values are YAML.",
)
@recorded
@click.option(
    "--state-dir",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the datastore and virtualenvs. [default: one per pack in ~/.cache/st2sensor/dev]",
)
@click.option("--fresh", is_flag=True, help="Start with an empty datastore.")
@click.option("--no-virtualenv", is_flag=True, help="Install no requirements; use the packages of this interpreter.")
@click.option(
    "--common-libs", is_flag=True, help="Let sensors import from the pack's lib/, like enable_common_libs of [packs]."
)
@as_json
@runs("st2sensor.cli.commands.dev:dev")
def dev() -> None:
    """Run the sensors of packs; restart them when you save. Ctrl-C stops them.

    The command needs no servers, no configuration and no root. It shows the log, valid and invalid triggers, and
    changes in the datastore. It writes nothing into the folders of the packs. --json prints one line of JSON for each
    of these.
    """


@section.command(
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
    help="Configuration of a pack, to check as well. With several packs, name the file PACK.yaml.",
)
@click.option("--strict", is_flag=True, help="Exit with code 1 for warnings as well.")
@as_json
@runs("st2sensor.cli.commands.validate:validate")
def validate() -> None:
    """Check packs for mistakes without running them.

    The command needs no servers, no database and no configuration. If there is a configuration, its virtualenvs and
    pack configurations are used. Otherwise this Python loads the code.

    Exits with code 1 if there are errors.
    """


@section.command(epilog=examples("st2sensor run linux.FileWatchSensor", "st2sensor --debug run examples.CursorSensor"))
@named_sensor
@runs("st2sensor.cli.commands.run:run", quiet=False)
def run() -> None:
    """Run one registered sensor in this terminal.

    breakpoint() works in it. The sensor uses the configured database and broker, and runs even if it is disabled. A
    container that runs the same sensor is not affected. There are no time limits and no restarts: this command exits
    with the sensor's exit code. Ctrl-C stops it; at the (Pdb) prompt, q ends it.
    """


@section.command(
    epilog=examples(
        "st2sensor dev packs/linux --record seen.jsonl",
        "st2sensor --config-file conf/st2.dev.conf replay seen.jsonl --dry-run",
        "st2sensor --config-file conf/st2.dev.conf replay seen.jsonl",
        "st2sensor --config-file conf/st2.dev.conf replay seen.jsonl --at-once --trigger linux.file_watch.line",
        "st2sensor replay --since 14:00 --until 15:00 --to new_consumer --rate 100/s",
        "st2sensor replay --since 1d --state dead --dry-run",
    )
)
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="With FILE: N times as fast as recorded.  [default: 1]",
)
@click.option("--at-once", is_flag=True, help="With FILE: without pauses.")
@filters()
@click.option("--to", metavar="TARGET", help="Publish to this queue, or to EXCHANGE:KEY, instead of to all consumers.")
@click.option("--rate", callback=_rate, metavar="N/s", help="Publish at most N events in a second.")
@click.option("--after", metavar="CURSOR", help="Continue where an earlier replay stopped; that replay printed CURSOR.")
@click.option("--dry-run", is_flag=True, help="Publish nothing; say how many events would be published.")
@click.option(
    "--keep-ids",
    is_flag=True,
    help="With FILE: keep the recorded message_id. Consumers may then drop the messages as duplicates.",
)
@click.option("--force", is_flag=True, help="Publish unknown and invalid triggers as well.")
@as_json
@runs("st2sensor.cli.commands.replay:replay")
def replay() -> None:
    """Publish events of the history or of a recording again.

    Without FILE, events of the history are published in the order in which they left the outbox, with the same
    message_id and the header st2sensor-replayed. Only events that were published before are chosen, unless --state says
    otherwise. Dead letters are published if they fit the current schemas. If the command is stopped, --after continues.

    With FILE, which --record wrote, the events are published in order and at the recorded pace. If any line of the file
    is malformed, nothing is published. Triggers that are unknown here, or do not match their schema, are skipped.
    """


@section.command(epilog=examples("st2sensor demo"))
@as_json
@runs("st2sensor.cli.commands.demo:demo")
def demo() -> None:
    """Watch this machine with some sensors, and show triggers. Ctrl-C stops everything.

    The command needs no servers, no configuration and no root. Everything is in ~/.cache/st2sensor/demo;
    /etc/st2/st2.conf is not read. With --config-file, it registers and runs the packs of that configuration instead.
    --json prints a line of JSON with the addresses to try, and then one for each trigger.
    """


@section.command(
    epilog=examples(
        "st2sensor config --production > st2.conf",
        "st2sensor config --dev > st2.dev.conf",
    )
)
@click.option(
    "--dev/--production",
    "dev",
    default=False,
    help="For trying out, with everything embedded in var/ next to the file; or for RabbitMQ and MongoDB.  "
    "[default: --production]",
)
@runs("st2sensor.cli.commands.config:config")
def config() -> None:
    """Print a commented configuration to start from.

    Redirect it into a file. Install the one for production as /etc/st2/st2.conf with mode 0640 and group st2: it holds
    passwords.
    """
