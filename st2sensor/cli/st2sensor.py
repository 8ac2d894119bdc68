"""`st2sensor`: for what StackStorm has no word for."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import click
from rich.console import Console

from st2sensor import config, logs
from st2sensor.cli import dead_letters, dev, key, replay
from st2sensor.cli import demo as demonstration
from st2sensor.cli import tail as triggers
from st2sensor.cli.invocation import command, examples, invoke, recorded
from st2sensor.cli.recording import recorder
from st2sensor.storage import open_storage


@click.group()
@command
@click.pass_context
def root(context: click.Context, config_files: Sequence[str], debug: bool) -> None:
    """Look at, and try, a sensor runtime."""
    logs.configure(debug=debug, quiet=True)
    context.obj = config_files


@root.command(
    epilog=examples(
        "st2sensor --config-file conf/st2.dev.conf tail",
        "st2sensor --config-file conf/st2.dev.conf tail --record seen.jsonl",
    )
)
@recorded
@click.pass_obj
def tail(config_files: Sequence[str], record: Path | None) -> int:
    """Show each trigger as it passes over the exchange, until Ctrl-C."""
    settings = config.load(config_files)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        closing(open_storage(settings.database)) as storage,
        closing(triggers.subscribe(settings.messaging)) as subscription,
        recorder(record) as note,
    ):
        try:
            triggers.follow(subscription, triggers.printer(storage, Console(highlight=False), note), lambda: False)
        except KeyboardInterrupt:
            return 0
    return 0


@root.command(epilog=examples("st2sensor --config-file conf/st2.dev.conf demo"))
@click.pass_obj
def demo(config_files: Sequence[str]) -> int:
    """Register the packs, run a container, and show each trigger, until Ctrl-C."""
    return demonstration.run(config.load(config_files), config_files)


root.add_command(dead_letters.group)
root.add_command(key.group)
root.add_command(dev.dev)
root.add_command(replay.replay)


def main(argv: Sequence[str] | None = None) -> int:
    return invoke(root, argv, "st2sensor")
