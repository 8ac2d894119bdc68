"""`st2sensor`: the commands that StackStorm does not have."""

from __future__ import annotations

from collections.abc import Sequence

import click

from st2sensor.cli.declarations import authoring, changes, completion, events, inspection, keys, stored
from st2sensor.cli.declarations.shared import HELP, common, examples, version
from st2sensor.cli.invocation import invoke

SECTIONS = tuple(module.section for module in (authoring, inspection, events, changes, stored, keys, completion))
"""Groups of commands, in the order of the help. Each is a heading there; its name is not part of any command line."""


class Sections(click.Group):
    """Contains the commands of all sections, and shows them under the headings."""

    def list_commands(self, context: click.Context) -> list[str]:  # noqa: ARG002 (click passes it)
        return list(self.commands)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        for section in SECTIONS:
            with formatter.section(section.name or ""):
                formatter.write_dl(
                    [(name, item.get_short_help_str(formatter.width - 20)) for name, item in section.commands.items()]
                )


@click.group(
    cls=Sections,
    context_settings=HELP,
    commands=[command for section in SECTIONS for command in section.commands.values()],
    epilog=examples("st2sensor list", "st2sensor show linux.FileWatchSensor"),
)
@common
@version
def root() -> None:
    """Write, run and inspect StackStorm sensors."""


OF_ST2CTL = ("start", "stop", "reload", "status", "clean", "restart-component", "reopen-log-files")
"""Commands that only st2ctl has."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; return the exit code."""
    return invoke(root, argv, "st2sensor", lambda: {"st2ctl": OF_ST2CTL})
