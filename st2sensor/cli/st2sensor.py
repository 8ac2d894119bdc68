"""`st2sensor`: for what StackStorm has no word for."""

from __future__ import annotations

from collections.abc import Sequence

import click

from st2sensor import config, logs
from st2sensor.cli import (
    apikey,
    completion,
    dead_letters,
    dev,
    dispatching,
    drain,
    init,
    key,
    nodes,
    replay,
    run,
    sensor_logs,
    sensors,
    show,
    tail,
    top,
    validate,
)
from st2sensor.cli import demo as demonstration
from st2sensor.cli import triggers as asked
from st2sensor.cli.invocation import command, examples, invoke

SECTIONS = {
    "For authors of sensors": ("init", "dev", "validate", "run", "replay", "demo"),
    "What runs": ("list", "show", "top", "nodes", "logs", "tail"),
    "Changing it": ("restart", "enable", "disable", "drain", "undrain", "log-level", "dispatch"),
    "What is stored": ("triggers", "rules", "key", "apikey", "dead-letters"),
    "Others": ("completion",),
}
"""Commands in the order of the help."""


class Sections(click.Group):
    """Shows its commands by section."""

    def list_commands(self, context: click.Context) -> list[str]:  # noqa: ARG002 (click calls it so)
        return [name for names in SECTIONS.values() for name in names if name in self.commands]

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        for section, names in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl(
                    [
                        (name, self.commands[name].get_short_help_str(formatter.width - 20))
                        for name in names
                        if name in self.commands
                    ]
                )


@click.group(cls=Sections, epilog=examples("st2sensor list", "st2sensor show linux.FileWatchSensor"))
@command
@click.pass_context
def root(context: click.Context, config_files: Sequence[str], debug: bool) -> None:
    """Write, run and look at StackStorm sensors."""
    logs.configure(debug=debug, quiet=True)
    context.obj = config_files


@root.command(epilog=examples("st2sensor --config-file conf/st2.dev.conf demo"))
@click.pass_obj
def demo(config_files: Sequence[str]) -> int:
    """Register the packs, run a container, and show each trigger, until Ctrl-C."""
    return demonstration.run(config.load(config_files), config_files)


for subcommand in (
    apikey.apikey,
    completion.completion,
    dead_letters.group,
    dev.dev,
    dispatching.dispatch,
    drain.drain,
    drain.undrain,
    init.init,
    key.group,
    nodes.nodes,
    replay.replay,
    run.run,
    sensor_logs.log_level,
    sensor_logs.logs,
    sensors.disable,
    sensors.enable,
    sensors.list_,
    sensors.restart,
    show.show,
    tail.tail,
    top.top,
    asked.rules,
    asked.triggers,
    validate.command,
):
    root.add_command(subcommand)


def main(argv: Sequence[str] | None = None) -> int:
    return invoke(root, argv, "st2sensor")
