"""Options, arguments and examples that several declarations share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

import st2sensor
from st2sensor.cli.invocation import DEBUG, completed

Function = Callable[..., Any]


def _configure(context: click.Context, parameter: click.Parameter, files: Sequence[str]) -> None:  # noqa: ARG001
    context.obj = files


def _debug(context: click.Context, parameter: click.Parameter, value: bool) -> bool:  # noqa: ARG001
    context.meta[DEBUG] = value
    return value


def common(function: Function, *, tells_debug: bool = False) -> Function:
    """Add the options that every program has.

    Each command receives the configuration files through the context, so it need not declare a parameter for them.

    :param tells_debug: also pass --debug to the command.
    """
    config_file = click.option(
        "--config-file",
        "--config-dir",
        "config_files",
        multiple=True,
        metavar="PATH",
        expose_value=False,
        callback=_configure,
        help="Configuration file, or folder of *.conf files. May be repeated; later ones take precedence. "
        "[default: $ST2_CONF or /etc/st2/st2.conf]",
    )
    debug = click.option(
        "--debug", is_flag=True, expose_value=tells_debug, callback=_debug, help="Log everything and show tracebacks."
    )
    return config_file(debug(function))


def version(function: Function) -> Function:
    """Add the option --version. Each program needs its own: click's option remembers the first program that uses it."""
    return click.version_option(
        st2sensor.__version__, message="%(prog)s %(version)s", help="Show the version and exit."
    )(function)


HELP = {"help_option_names": ["-h", "--help"]}
"""The context_settings of a program, which its commands inherit."""

as_json = click.option("--json", "json_output", is_flag=True, help="Print JSON.")
recorded = click.option(
    "--record",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also append each trigger to FILE, for st2sensor replay.",
)
named_sensor = click.argument(
    "ref", metavar="PACK.CLASS", shell_complete=completed("st2sensor.cli.commands.completion:sensors")
)
trigger_types = completed("st2sensor.cli.commands.completion:trigger_types")
yes = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
named_node = click.argument("node", shell_complete=completed("st2sensor.cli.commands.completion:nodes"))


EXAMPLE_WIDTH = 76
"""Columns of an example: the help of click indents it by four, and a terminal has 80."""

WORD = re.compile(r"""(?:[^\s'"]|'[^']*'|"[^"]*")+""")
"""A word of a command line, with its quotes."""


def examples(*lines: str) -> str:
    """Return an epilog with commands to paste. A long one is continued on the next line, as a shell reads it."""
    return "\b\nExamples:\n" + "\n".join(f"  {part}" for line in lines for part in _continued(line))


def _continued(line: str) -> Iterator[str]:
    shown = ""
    for word in WORD.findall(line):
        if shown and len(f"{shown} {word} \\") > EXAMPLE_WIDTH and len(line) > EXAMPLE_WIDTH:
            yield f"{shown} \\"
            shown = f"  {word}"
        else:
            shown = f"{shown} {word}" if shown else word
    yield shown
