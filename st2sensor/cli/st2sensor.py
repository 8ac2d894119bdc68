"""`st2sensor`: for what StackStorm has no word for."""

from __future__ import annotations

from collections.abc import Sequence

import click

from st2sensor.cli.declarations.authoring import demo, dev, init, replay, run, validate
from st2sensor.cli.declarations.changes import disable, dispatch, drain, enable, log_level, restart, undrain
from st2sensor.cli.declarations.completion import completion
from st2sensor.cli.declarations.inspection import list_, logs, nodes, show, tail, top
from st2sensor.cli.declarations.keys import apikey, key
from st2sensor.cli.declarations.shared import HELP, common, examples, version
from st2sensor.cli.declarations.stored import dead_letters, rules, triggers
from st2sensor.cli.invocation import invoke

SECTIONS = {
    "For authors of sensors": (init, dev, validate, run, replay, demo),
    "What runs": (list_, show, top, nodes, logs, tail),
    "Changing it": (restart, enable, disable, drain, undrain, log_level, dispatch),
    "What is stored": (triggers, rules, key, apikey, dead_letters),
    "Others": (completion,),
}
"""All commands, in the order of the help."""


class Sections(click.Group):
    """Has the commands of SECTIONS, and shows them so."""

    def list_commands(self, context: click.Context) -> list[str]:  # noqa: ARG002 (click calls it so)
        return list(self.commands)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        for section, commands in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl(
                    [(command.name or "", command.get_short_help_str(formatter.width - 20)) for command in commands]
                )


@click.group(
    cls=Sections,
    context_settings=HELP,
    commands=[command for commands in SECTIONS.values() for command in commands],
    epilog=examples("st2sensor list", "st2sensor show linux.FileWatchSensor"),
)
@common
@version
def root() -> None:
    """Write, run and look at StackStorm sensors."""


def main(argv: Sequence[str] | None = None) -> int:
    return invoke(root, argv, "st2sensor")
