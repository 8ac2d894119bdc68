"""Commands of `st2sensor` for what is stored: triggers, rules and dead letters."""

from __future__ import annotations

import click

from st2sensor.cli.declarations.shared import as_json, examples
from st2sensor.cli.invocation import runs

chosen = click.argument("identifiers", nargs=-1, type=int, metavar="[ID]...")
every = click.option("--all", "everything", is_flag=True, help="All of them.")


@click.group(
    invoke_without_command=True,
    epilog=examples(
        "st2sensor triggers",
        "st2sensor triggers add linux.file_watch.line file_path=/var/log/syslog",
        "st2sensor triggers add core.st2.CronTimer minute=*/5",
        "st2sensor triggers add core.st2.webhook url=deploy",
        "st2sensor triggers remove linux.3f2c1d0e-4a5b-4c6d-8e7f-90a1b2c3d4e5",
    ),
)
@as_json
@runs("st2sensor.cli.commands.triggers:list_")
def triggers() -> None:
    """Show the triggers that sensors are asked for; add and remove some."""


@triggers.command(
    epilog=examples(
        "st2sensor triggers add linux.file_watch.line file_path=/var/log/syslog",
        "st2sensor triggers add core.st2.CronTimer minute=*/5 timezone=Europe/Berlin",
        "st2sensor triggers add core.st2.webhook url=deploy",
    )
)
@click.argument("trigger_type", metavar="TYPE")
@click.argument("parameters", nargs=-1, metavar="[NAME=VALUE]...")
@as_json
@runs("st2sensor.cli.commands.triggers:add")
def add() -> None:
    """Ask for a trigger of a TYPE, as a rule would: its sensor's add_trigger() is called.

    A VALUE is read as YAML has it: 5 is a number, "5" is text.
    """


@triggers.command(epilog=examples("st2sensor triggers remove linux.3f2c1d0e-4a5b-4c6d-8e7f-90a1b2c3d4e5"))
@click.argument("ref", metavar="REF")
@as_json
@runs("st2sensor.cli.commands.triggers:remove")
def remove() -> None:
    """Ask for a trigger no longer. It goes when no rule and nobody else asks for it."""


@click.command(epilog=examples("st2sensor rules", "st2sensor rules --json"))
@as_json
@runs("st2sensor.cli.commands.triggers:rules")
def rules() -> None:
    """Show the registered rules, as far as sensors need them: which trigger each asks for."""


@click.group(
    "dead-letters",
    epilog=examples(
        "st2sensor dead-letters list",
        "st2sensor dead-letters show 7",
        "st2sensor dead-letters replay 7 8",
        "st2sensor dead-letters purge --older-than 7",
    ),
)
def dead_letters() -> None:
    """Triggers that could not be published: unknown, invalid, or refused by the broker."""


@dead_letters.command("list", epilog=examples("st2sensor dead-letters list", "st2sensor dead-letters list --json"))
@as_json
@runs("st2sensor.cli.commands.dead_letters:list_")
def list_() -> None:
    """Show all dead letters, oldest first."""


@dead_letters.command(epilog=examples("st2sensor dead-letters show 7"))
@chosen
@as_json
@runs("st2sensor.cli.commands.dead_letters:show")
def show() -> None:
    """Show some dead letters whole."""


@dead_letters.command(epilog=examples("st2sensor dead-letters replay 7 8", "st2sensor dead-letters replay --all"))
@chosen
@every
@click.option("--force", is_flag=True, help="Publish also what is still unknown or does not fit its schema.")
@runs("st2sensor.cli.commands.dead_letters:replay")
def replay() -> None:
    """Publish dead letters now, and delete those that the broker has taken.

    One that is still unknown, or still does not fit its schema, stays. Each keeps its message_id.
    """


@dead_letters.command(epilog=examples("st2sensor dead-letters purge 7", "st2sensor dead-letters purge --older-than 7"))
@chosen
@every
@click.option("--older-than", type=float, metavar="DAYS", help="Those that were kept for longer while containers ran.")
@runs("st2sensor.cli.commands.dead_letters:purge")
def purge() -> None:
    """Delete dead letters for good."""
