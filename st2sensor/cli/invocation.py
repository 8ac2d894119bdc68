"""What every command has in common: its options, and how an error becomes a line and an exit code."""

from __future__ import annotations

import functools
import io
import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from st2sensor import config
from st2sensor.cli.printable import printable
from st2sensor.errors import St2SensorError

INTERNAL_ERROR = 70

UNLIMITED = 500
"""Columns, where no terminal sets a limit."""

config_file = click.option(
    "--config-file",
    "config_files",
    multiple=True,
    metavar="FILE",
    help="Configuration; may be given several times, later files win. [default: $ST2_CONF or /etc/st2/st2.conf]",
)
as_json = click.option("--json", "json_output", is_flag=True, help="Print JSON.")
recorded = click.option(
    "--record",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Append each trigger to FILE, for st2sensor replay.",
)
debug = click.option("--debug", is_flag=True, help="Log everything, and show tracebacks.")


def command(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that every command has."""
    return config_file(debug(function))


def configured(function: Callable[..., Any]) -> Callable[..., Any]:
    """Hand a command its settings. They are loaded when it runs, so that --help needs none."""

    @click.pass_obj
    @functools.wraps(function)
    def loaded(config_files: Sequence[str], *args: Any, **kwargs: Any) -> Any:
        return function(config.load(config_files), *args, **kwargs)

    return loaded


def report(json_output: bool, line: str, **fields: object) -> None:
    """Say what a command has done: in a line, or as JSON."""
    click.echo(json.dumps(fields) if json_output else line)


def console() -> Console:
    """For tables of what others have written: it is shown as it is."""
    wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else UNLIMITED
    return Console(highlight=False, markup=False, emoji=False, width=wide)


def examples(*lines: str) -> str:
    """An epilog with commands to paste."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def invoke(root: click.Command, argv: Sequence[str] | None, name: str) -> int:
    """Run a command line; returns the exit code. An error is one line, with its traceback only under --debug."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # What an encoding has no form for must not end a command.
        sys.stdout.reconfigure(errors="replace")
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        code = root.main(args=arguments, prog_name=name, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except St2SensorError as error:
        if "--debug" in arguments:
            traceback.print_exc()
        click.echo(f"{name}: error: {printable(str(error))}", err=True)
        return error.exit_code
    except Exception as error:  # noqa: BLE001 (the last resort of every command)
        if "--debug" in arguments:
            traceback.print_exc()
        click.echo(f"{name}: internal error: {error!r}; run it again with --debug, and report what it prints", err=True)
        return INTERNAL_ERROR
    return code if isinstance(code, int) else 0
