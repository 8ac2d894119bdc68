"""Man pages of all programs and commands, made from their help when the package is built.

    python -m st2sensor.cli.manual FOLDER

The format is that of man(7). It needs only click, as --help does.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

import st2sensor
from st2sensor.cli import (
    st2_generate_symmetric_crypto_key,
    st2_register_content,
    st2ctl,
    st2sensorcontainer,
)
from st2sensor.cli import st2sensor as program

PROGRAMS: dict[str, click.Command] = {
    "st2sensor": program.root,
    "st2ctl": st2ctl.root,
    "st2sensorcontainer": st2sensorcontainer.root,
    "st2-register-content": st2_register_content.root,
    "st2-generate-symmetric-crypto-key": st2_generate_symmetric_crypto_key.root,
}

SECTION = 1

UNWRAPPED = "\b"
"""The line with which click marks a paragraph that is not re-wrapped."""


def write(folder: Path) -> list[Path]:
    """Write a page for each program and each command; return the files, sorted. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, command in PROGRAMS.items():
        for context in _contexts(click.Context(command, info_name=name)):
            path = folder / f"{_title(context)}.{SECTION}"
            path.write_text("\n".join([*_page(context), ""]))
            written.append(path)
    return sorted(written)


def _contexts(context: click.Context) -> Iterator[click.Context]:
    """Yield the context of a command, and those of the commands in it."""
    yield context
    if isinstance(context.command, click.Group):
        for name, command in context.command.commands.items():
            if not command.hidden:
                yield from _contexts(click.Context(command, info_name=name, parent=context))


def _title(context: click.Context) -> str:
    return context.command_path.replace(" ", "-")


def _page(context: click.Context) -> Iterator[str]:
    command = context.command
    yield f'.TH "{_title(context).upper()}" {SECTION} "" "st2sensor {st2sensor.__version__}"'
    yield ".SH NAME"
    yield _escaped(f"{_title(context)} - {command.get_short_help_str(300).rstrip('.')}")
    yield ".SH SYNOPSIS"
    yield f".B {_escaped(context.command_path)}"
    yield _escaped(" ".join(command.collect_usage_pieces(context)))
    yield ".SH DESCRIPTION"
    yield from _text(command.help or "")
    records = [record for item in command.get_params(context) if (record := item.get_help_record(context))]
    if records:
        yield ".SH OPTIONS"
        yield from _list(records)
    inner = list(_contexts(context))[1:]
    if inner:
        yield ".SH COMMANDS"
        yield from _list([(f"{_title(item)}({SECTION})", item.command.get_short_help_str(300)) for item in inner])
    title, _, examples = inspect.cleandoc(command.epilog or "").replace(f"{UNWRAPPED}\n", "").partition(":\n")
    if examples:
        yield f".SH {_escaped(title.upper())}"
        yield from _text(f"{UNWRAPPED}\n{inspect.cleandoc(examples)}")
    if context.parent is not None:
        yield ".SH SEE ALSO"
        yield _escaped(f"{_title(context.parent)}({SECTION})")


def _list(records: Sequence[tuple[str, str]]) -> Iterator[str]:
    for name, text in records:
        yield ".TP"
        yield f".B {_escaped(name)}"
        yield _escaped(" ".join(text.split()))


def _text(text: str) -> Iterator[str]:
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        yield ".PP"
        if paragraph.startswith(UNWRAPPED):
            yield from (".nf", *map(_escaped, paragraph.splitlines()[1:]), ".fi")
        else:
            yield _escaped(" ".join(paragraph.split()))


def _escaped(text: str) -> str:
    """Return a line of text that the formatter prints as it is."""
    shown = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{shown}" if shown.startswith((".", "'")) else shown


if __name__ == "__main__":
    write(Path(sys.argv[1]))
