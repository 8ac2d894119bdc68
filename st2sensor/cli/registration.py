"""Register content from a command line, with progress, a table of results, and errors."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import click
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table
from rich.text import Text

from st2sensor.cli.configuration import configured
from st2sensor.cli.content_changes import announce
from st2sensor.cli.text.printable import in_line
from st2sensor.datastore.keyring import Keyring
from st2sensor.models import CORE_PACK, SensorType
from st2sensor.packs.configuration.templates import FUNCTIONS, Templates
from st2sensor.packs.discovery import find_packs
from st2sensor.packs.registrable import KINDS, RECREATE
from st2sensor.packs.registration.announcements import Announcements
from st2sensor.packs.registration.outcome import Outcome, Result, failures
from st2sensor.packs.registration.registry import Registry
from st2sensor.settings import Settings
from st2sensor.storage import open_storage
from st2sensor.storage.base import Storage
from st2sensor.workers.pool import Pool

NAMED_PACKS = 5
"""Maximum number of packs that a warning names."""

QUIET = (Result.UNCHANGED, Result.LEFT)
"""Results that are counted, but not listed row by row."""

RARE = (Result.WAITING, Result.LEFT, Result.GIVEN_BACK)
"""Results that have a column only if they occur."""

COLOURS = {
    Result.CREATED: "green",
    Result.CHANGED: "yellow",
    Result.UNCHANGED: "dim",
    Result.REMOVED: "magenta",
    Result.WAITING: "yellow",
    Result.LEFT: "dim",
    Result.GIVEN_BACK: "magenta",
    Result.FAILED: "red",
}


def reload(
    config_files: Sequence[str],
    *,
    kinds: Collection[str],
    prune: bool,
    virtualenvs: str | None,
    lenient: bool,
    elsewhere: Collection[str],
    pack: Path | None,
    verbose: bool,
    json_output: bool,
) -> int:
    """Run `st2ctl reload` or `st2-register-content`; return the exit code.

    Raises UsageError for options that exclude each other, and the errors of `register`.
    """
    if prune and pack is not None:
        raise click.UsageError("--prune applies to all packs, and --register-pack to one: omit one of them")
    settings = configured(config_files)
    return register(
        settings,
        kinds,
        prune=prune,
        virtualenvs=virtualenvs,
        lenient=lenient,
        elsewhere=elsewhere,
        only=None if pack is None else Path(os.path.abspath(pack)),
        verbose=verbose,
        json_output=json_output,
    )


def register(
    settings: Settings,
    kinds: Collection[str] = (),
    *,
    prune: bool = False,
    virtualenvs: str | None = None,
    lenient: bool = False,
    elsewhere: Collection[str] = (),
    only: Path | None = None,
    verbose: bool = False,
    quiet: bool = False,
    json_output: bool = False,
) -> int:
    """Register content and show the results; return 1 if anything failed. Raises ConfigError, StorageError.

    :param kinds: some of KINDS; `all`, or nothing, means every kind.
    :param virtualenvs: the virtualenvs to build first: `missing`, or `recreate` for all.
    :param lenient: return 0 even if something failed.
    :param elsewhere: options for content that is left to StackStorm.
    :param only: folder of the one pack to register; None for all packs.
    :param verbose: show unchanged content as well.
    :param quiet: show only what failed.
    :param json_output: print the results as JSON.
    """
    for option in elsewhere:
        click.echo(f"{option} is left to StackStorm: st2sensor registers sensors, triggers and rules", err=True)
    if elsewhere and not kinds and virtualenvs is None:
        if json_output:
            _print_json([], verbose=verbose)
        return 0
    chosen = KINDS if not kinds or "all" in kinds else tuple(kinds)
    announcements = Announcements.of(settings)
    with closing(open_storage(settings.database)) as storage:
        storage.prepare()
        with registry_of(settings, storage, announcements) as registry:
            registry.only = only
            made = [] if virtualenvs is None else _set_up_virtualenvs(registry, virtualenvs)
            outcomes = made + _registered(registry, chosen, prune=prune)
        if only is None and not find_packs(settings.content.pack_paths)[0]:
            left = {sensor.pack for sensor in storage.all(SensorType)} - {CORE_PACK}
            registry.warnings.append(_no_packs(settings.content.pack_paths, sorted(left)))
    for warning in registry.warnings:
        click.echo(f"warning: {warning}", err=True)
    if quiet:
        _show_failures(outcomes)
    elif json_output:
        _print_json(outcomes, verbose=verbose)
    else:
        show(outcomes, verbose=verbose)
    announce(announcements, settings)
    return 1 if failures(outcomes) and not lenient else 0


@contextmanager
def registry_of(settings: Settings, storage: Storage, announcements: Announcements) -> Iterator[Registry]:
    """Return the registry of the configured content."""
    with closing(Pool(FUNCTIONS)) as workers:
        yield Registry(
            storage=storage,
            content=settings.content,
            templates=Templates.of(storage, Keyring(settings.key_values), settings.system_user, workers),
            announcements=announcements,
        )


def _set_up_virtualenvs(registry: Registry, which: str) -> list[Outcome]:
    terminal = Console(stderr=True, highlight=False, markup=False)
    with terminal.status("making virtualenvs") as status:

        def progress(line: str) -> None:
            if terminal.is_terminal:
                status.update(line[: terminal.width - 4])
            else:
                terminal.print(line, soft_wrap=True)

        return registry.set_up_virtualenvs(recreate=which == RECREATE, progress=progress)


def _registered(registry: Registry, kinds: Sequence[str], *, prune: bool) -> list[Outcome]:
    terminal = Console(stderr=True)
    with Progress(console=terminal, transient=True, disable=not terminal.is_terminal) as bar:
        tasks: dict[str, TaskID] = {}

        def progress(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(step, total=total)
            bar.update(tasks[step], completed=done)

        registry.progress = progress
        return registry.register(kinds, prune=prune)


def show(outcomes: Sequence[Outcome], *, verbose: bool = False) -> None:
    """Print the changes row by row, then counts of everything, then each failure in full.

    :param verbose: list unchanged content as well.
    """
    console = Console(highlight=False)
    shown = _listed(outcomes, verbose=verbose)
    if shown:
        console.print(_rows(shown), soft_wrap=True)
        console.print()
    console.print(_counts(outcomes))
    _show_failures(outcomes)


def _print_json(outcomes: Sequence[Outcome], *, verbose: bool) -> None:
    counts: dict[str, dict[str, int]] = {}
    for (kind, result), number in Counter((outcome.kind, outcome.result) for outcome in outcomes).items():
        counts.setdefault(kind, {})[result.value] = number
    items = [
        {"kind": item.kind, "ref": item.ref, "result": item.result.value, "message": item.message or None}
        for item in _listed(outcomes, verbose=verbose)
    ]
    click.echo(json.dumps({"items": items, "counts": counts}))
    _show_failures(outcomes)


def _listed(outcomes: Sequence[Outcome], *, verbose: bool) -> list[Outcome]:
    return [outcome for outcome in outcomes if verbose or outcome.result not in QUIET]


def _rows(outcomes: Sequence[Outcome]) -> Text:
    """Return a row for each outcome. A table of rich would take ten times as long for a thousand rows."""
    rows = [(outcome.kind, in_line(outcome.ref)) for outcome in outcomes]
    kind, ref = (max(map(cell_len, column)) for column in zip(("kind", "reference"), *rows, strict=True))
    listed = Text(f"{set_cell_size('kind', kind)}  {set_cell_size('reference', ref)}  result")
    listed.stylize("table.header")
    for outcome, row in zip(outcomes, rows, strict=True):
        listed.append(f"\n{set_cell_size(row[0], kind)}  {set_cell_size(row[1], ref)}  ")
        listed.append(outcome.result.value, COLOURS[outcome.result])
    return listed


def _no_packs(folders: Sequence[Path], left: Sequence[str]) -> str:
    """Return a warning that nothing was there to register.

    :param left: the packs that are registered nevertheless.
    """
    places = ", ".join(map(str, folders))
    if left:
        more = f" and {len(left) - NAMED_PACKS} more" if len(left) > NAMED_PACKS else ""
        return (
            f"no packs in {places}, but the sensors of {', '.join(left[:NAMED_PACKS])}{more} are still registered: "
            "check [system] base_path and [content] packs_base_paths"
        )
    return f"no packs in {places}: copy a pack there, or set [content] packs_base_paths; st2sensor init makes a pack"


def _show_failures(outcomes: Sequence[Outcome]) -> None:
    # Several sensors of a pack may fail for the same reason.
    for message in dict.fromkeys(outcome.message for outcome in failures(outcomes)):
        click.echo(f"error: {message}", err=True)


def _counts(outcomes: Sequence[Outcome]) -> Table:
    counts = Counter((outcome.kind, outcome.result) for outcome in outcomes)
    found = {outcome.result for outcome in outcomes}
    columns = [result for result in Result if result in found or result not in RARE]
    table = Table("kind", *(result.value for result in columns), box=None, pad_edge=False)
    for kind in dict.fromkeys(outcome.kind for outcome in outcomes):
        table.add_row(kind, *(str(counts[kind, result]) for result in columns))
    return table
