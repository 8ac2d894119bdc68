"""Run the function behind a command line, and turn errors into a line and an exit code.

Commands are declared in `declarations`, which loads only what --help needs. The modules in `commands` run them.
"""

from __future__ import annotations

import functools
import io
import json
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import click

from st2sensor.cli import interrupt
from st2sensor.cli.text.printable import printable
from st2sensor.errors import AccessDenied, St2SensorError
from st2sensor.system.lazy import resolve

INTERNAL_ERROR, IO_ERROR, INTERRUPTED = 70, 74, 130
"""Exit codes for failures without an error class of ours. The last one is for a command that Ctrl-C ends."""

DEBUG = "st2sensor.debug"
"""Key in the meta of a click.Context: whether --debug was given."""

VERBOSE = "st2sensor.verbose"
"""Key in the meta of a click.Context: whether --verbose was given."""

Completion = Callable[[click.Context, click.Parameter, str], list[str]]


class Body:
    """The callback of a declared command. It loads the function that runs the command, and calls it.

    The function receives the configuration files, and the parameters of the command line by name.

    :param declared: a function with the name and the help of the command.
    :param target: name of the function that runs the command, for lazy.resolve.
    :param quiet: log only warnings and errors.
    """

    def __init__(self, declared: Callable[[], None], target: str, *, quiet: bool) -> None:
        functools.update_wrapper(self, declared)
        self.target = target
        self._quiet = quiet

    def __call__(self, **params: Any) -> Any:
        context = click.get_current_context()
        if context.invoked_subcommand is not None:
            return None
        quiet = self._quiet and not context.meta.get(VERBOSE, False)
        resolve("st2sensor.logs.setup:configure")(debug=context.meta.get(DEBUG, False), quiet=quiet)
        run = resolve(self.target)
        is_ours = interrupt.handle()
        try:
            return run(context.obj or (), **params)
        finally:
            if is_ours:
                interrupt.end()


def runs(target: str, *, quiet: bool = True) -> Callable[[Callable[[], None]], Body]:
    """Declare which function runs a command."""
    return lambda declared: Body(declared, target, quiet=quiet)


def completed(target: str) -> Completion:
    """Return a shell completion. It loads a function, and calls it with the configuration files and the typed text."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
        found: list[str] = resolve(target)(context.obj or (), incomplete)
        return found

    return complete


def invoke(
    root: click.Command,
    argv: Sequence[str] | None,
    name: str,
    elsewhere: Callable[[], Mapping[str, Collection[str]]] = dict,
) -> int:
    """Run a command line; return the exit code.

    :param elsewhere: returns the commands of other programs, which a user may have meant.

    An error is printed as a line on stderr; --debug adds its traceback. With --json, stdout also gets it, as an object
    with the single key `error`.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A character that cannot be encoded must not end a command.
        sys.stdout.reconfigure(errors="replace")
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        code = root.main(args=arguments, prog_name=name, standalone_mode=False)
    except click.ClickException as error:
        error = _explained(error, elsewhere)
        error.show()
        _tell(arguments, error.exit_code, "UsageError", error.format_message())
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except St2SensorError as error:
        return _failed(arguments, name, error.exit_code, type(error).__name__, f"error: {printable(str(error))}")
    except PermissionError as error:
        denied = f"error: {printable(_place(error))}: {error.strerror}; run this as a user who has access to it"
        return _failed(arguments, name, AccessDenied.exit_code, AccessDenied.__name__, denied)
    except OSError as error:
        return _failed(
            arguments, name, IO_ERROR, "OSError", f"error: {printable(_place(error))}: {error.strerror or error}"
        )
    except Exception as error:  # noqa: BLE001 (the last resort of every command)
        told = f"internal error: {error!r}; run it again with --debug, and report the output"
        return _failed(arguments, name, INTERNAL_ERROR, "InternalError", told)
    return code if isinstance(code, int) else 0


def _explained(
    error: click.ClickException, elsewhere: Callable[[], Mapping[str, Collection[str]]]
) -> click.ClickException:
    """Return an error that names what people know: an argument without brackets, and the program of a command."""
    if isinstance(error, click.BadParameter) and isinstance(error.param, click.Argument) and error.param_hint is None:
        shown = error.param.metavar or error.param.human_readable_name
        error.param_hint = f"'{shown.removesuffix('...').strip('[]')}'"
    if isinstance(error, click.exceptions.NoSuchCommand) and error.ctx is not None and error.ctx.parent is None:
        for program, commands in elsewhere().items():
            if error.command_name in commands:
                told = f"{error.message} It is a command of {program}: {program} {error.command_name}"
                return click.UsageError(told, error.ctx)
    return error


def _place(error: OSError) -> str:
    """Return the file that an error is about, or else its kind."""
    return str(error.filename if error.filename is not None else type(error).__name__)


def _failed(arguments: Sequence[str], name: str, code: int, kind: str, told: str) -> int:
    if "--debug" in arguments:
        resolve("traceback:print_exc")()
    click.echo(f"{name}: {told}", err=True)
    _tell(arguments, code, kind, told.removeprefix("error: "))
    return code


def _tell(arguments: Sequence[str], code: int, kind: str, message: str) -> None:
    """Print an error as JSON, if the command line asks for JSON."""
    if "--json" in arguments:
        click.echo(json.dumps({"error": {"type": kind, "code": code, "message": message}}))
