"""The commands of `st2sensor` for triggers, rules and dead letters."""

from __future__ import annotations

from pathlib import Path

import click

from st2sensor.cli.declarations.events import filters
from st2sensor.cli.declarations.shared import as_json, examples, trigger_types, yes
from st2sensor.cli.invocation import completed, runs

section = click.Group("Triggers, rules and dead letters")

chosen = click.argument("identifiers", nargs=-1, type=int, metavar="[ID]...")
every = click.option("--all", "everything", is_flag=True, help="Choose all of them, and do not ask.")


filtered = filters(("dead", "unrouted"))


@section.group(
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
    """Show, add and remove the triggers that sensors watch for."""


@triggers.command(
    epilog=examples(
        "st2sensor triggers add linux.file_watch.line file_path=/var/log/syslog",
        "st2sensor triggers add core.st2.CronTimer minute=*/5 timezone=Europe/Berlin",
        "st2sensor triggers add core.st2.webhook url=deploy",
    )
)
@click.argument("trigger_type", metavar="TYPE", shell_complete=trigger_types)
@click.argument("parameters", nargs=-1, metavar="[NAME=VALUE]...")
@as_json
@runs("st2sensor.cli.commands.triggers:add")
def add() -> None:
    """Add a trigger of a TYPE, as a rule would. The sensor's add_trigger() is called.

    Each VALUE is read as YAML: 5 is a number, "5" is text.
    """


@triggers.command(epilog=examples("st2sensor triggers remove linux.3f2c1d0e-4a5b-4c6d-8e7f-90a1b2c3d4e5"))
@click.argument("ref", metavar="REF", shell_complete=completed("st2sensor.cli.commands.completion:triggers"))
@as_json
@runs("st2sensor.cli.commands.triggers:remove")
def remove() -> None:
    """Withdraw a trigger. It is deleted once no rule and no other user needs it."""


@section.group(
    invoke_without_command=True,
    epilog=examples(
        "st2sensor rules", "st2sensor rules --json", "st2sensor rules test rules/full.yaml --event seen.jsonl"
    ),
)
@as_json
@runs("st2sensor.cli.commands.rules:rules")
def rules() -> None:
    """Show the rules and their triggers; test a rule."""


@rules.command(
    epilog=examples(
        "st2sensor rules test rules/full.yaml --event seen.jsonl",
        "st2sensor rules test rules/full.yaml --event a0f2e5c332024c34b2dc0fbf30024ea5",
    )
)
@click.argument("file", metavar="RULE.yaml", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--event",
    required=True,
    metavar="ID|FILE",
    help="message_id or trace tag of an event that is kept here, number of a dead letter, or a file that "
    "st2sensor tail --record wrote.",
)
@as_json
@runs("st2sensor.cli.commands.rules:test")
def test() -> None:
    """Evaluate a rule against events, as StackStorm would.

    No server is needed, unless a pattern reads the datastore. The exit code is 1 if any event does not match.
    """


@section.group(
    "dead-letters",
    epilog=examples(
        "st2sensor dead-letters list",
        "st2sensor dead-letters show 7",
        "st2sensor dead-letters replay 7 8",
        "st2sensor dead-letters purge --older-than 7 --yes",
    ),
)
def dead_letters() -> None:
    """Show, replay and delete unpublished triggers.

    Their types were unknown, their payloads were invalid, the broker refused them, or no queue took them.
    """


@dead_letters.command(
    "list",
    epilog=examples(
        "st2sensor dead-letters list",
        "st2sensor dead-letters list --sensor linux.FileWatchSensor --since 2h",
        "st2sensor dead-letters list --json",
    ),
)
@filtered
@as_json
@runs("st2sensor.cli.commands.dead_letters:list_")
def list_() -> None:
    """List dead letters, oldest first."""


@dead_letters.command(epilog=examples("st2sensor dead-letters show 7"))
@chosen
@as_json
@runs("st2sensor.cli.commands.dead_letters:show")
def show() -> None:
    """Show dead letters in full."""


@dead_letters.command(epilog=examples("st2sensor dead-letters replay 7 8", "st2sensor dead-letters replay --all"))
@chosen
@every
@filtered
@click.option("--force", is_flag=True, help="Publish letters that are still unknown or invalid as well.")
@yes
@as_json
@runs("st2sensor.cli.commands.dead_letters:replay")
def replay() -> None:
    """Publish dead letters now.

    Without IDs, all letters that the filters choose are published, after you confirm it.

    Letters that the broker accepts are deleted. Letters whose triggers are still unknown or invalid are kept. The
    message_id stays the same.
    """


@dead_letters.command(
    epilog=examples("st2sensor dead-letters purge 7", "st2sensor dead-letters purge --older-than 7 --yes")
)
@chosen
@every
@filtered
@click.option(
    "--older-than",
    type=float,
    metavar="DAYS",
    help="Choose letters that are older; only time with a running container counts.",
)
@yes
@as_json
@runs("st2sensor.cli.commands.dead_letters:purge")
def purge() -> None:
    """Delete dead letters permanently.

    Without IDs, all letters that the filters choose are deleted, after you confirm it.
    """
