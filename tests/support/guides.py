"""Parses the guides in docs/ into the files and commands that they show, and the commands' output.

A file is a block of Python, YAML or INI whose first line is a comment with its path. A command is a line after `$ ` in
a console block. The lines after it are its output, in parts: a line `...` stands for any lines, and `...` within a line
for any text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"

NUMBER = r"\d+(?:[.,:-]\d+)*"
IDENTIFIER = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b[0-9a-f]{12,64}\b"
SPARKLINE = "[\u2581-\u2588]+"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """A file as a guide shows it."""

    path: str
    language: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """:param place: guide and line."""

    place: str
    line: str
    output: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The steps under a second-level heading, in order."""

    guide: str
    title: str
    steps: tuple[Snippet | Command, ...]

    @property
    def name(self) -> str:
        return f"{self.guide}: {self.title}"


def sections(guide: str) -> list[Section]:
    """Return the sections of a guide that show something to try. Fails for a block that is none of the above."""
    found: dict[str, list[Snippet | Command]] = {}
    title, block, begin = "", None, 0
    lines: list[str] = []
    for number, line in enumerate((DOCS / guide).read_text().splitlines(), 1):
        if block is None and line.startswith("## "):
            title = line.removeprefix("## ")
        elif block is None and line.startswith("```"):
            block, begin, lines = line.removeprefix("```"), number, []
        elif line == "```":
            assert block is not None
            found.setdefault(title, []).extend(_steps(f"{guide}:{begin}", block, lines))
            block = None
        else:
            assert block is not None or not line.startswith("    "), f"{guide}:{number}: not in a block"
            lines.append(line)
    return [Section(guide=guide, title=title, steps=tuple(steps)) for title, steps in found.items()]


def _steps(place: str, block: str, lines: list[str]) -> list[Snippet | Command]:
    if block == "console":
        return list(_commands(place, lines))
    assert block in ("python", "yaml", "ini"), f"{place}: a block of {block!r} is not tested"
    match = re.fullmatch(r"# (\S+\.\w+)", lines[0])
    assert match, f"{place}: its first line does not name the file"
    return [Snippet(path=match[1], language=block, text="\n".join([*lines, ""]))]


def _commands(place: str, lines: list[str]) -> list[Command]:
    assert lines[0].startswith("$ "), f"{place}: no command"
    starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    return [
        Command(
            place=f"{place.partition(':')[0]}:{int(place.partition(':')[2]) + start + 1}",
            line=lines[start].removeprefix("$ "),
            output=tuple(lines[start + 1 : end]),
        )
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True)
    ]


def missing(expected: tuple[str, ...], printed: str) -> str | None:
    """Return the first line, in order, that a guide shows and the command did not print, ignoring numbers and times."""
    rest = [_alike(line) for line in printed.splitlines()]
    for line in expected:
        if line.strip() == "...":
            continue
        pattern = re.compile(".*".join(re.escape(part.strip()) for part in _alike(line).split("...")))
        while rest and not pattern.fullmatch(rest[0].strip()):
            rest.pop(0)
        if not rest:
            return line
        rest.pop(0)
    return None


def _alike(line: str) -> str:
    line = re.sub(SPARKLINE, "", line)
    line = re.sub(IDENTIFIER, "ID", line)
    line = re.sub(rf"\b(now|{NUMBER} (s|min|h|d) ago)\b", "AGO", line)
    line = re.sub(NUMBER, "N", line)
    return re.sub(r"\s+", " ", line).strip()
