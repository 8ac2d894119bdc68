"""`st2sensor init`: create a pack with a working sensor and its tests, from the files in templates/."""

from __future__ import annotations

import json
import keyword
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from string import Template

import click
from rich.text import Text
from rich.tree import Tree

from st2sensor.cli.text.console import console
from st2sensor.errors import AlreadyThere

TEMPLATES = Path(__file__).parent.parent / "templates"
"""Every pack gets the files in `pack` and those in `polling` or `passive`. In file names, PACK is the pack and NAME the
module of the sensor."""

SUFFIX = ".tmpl"

ROW = re.compile(r"^    (\S+) +(.+)$", re.MULTILINE)
"""A line with two columns: a file's name, and what it holds."""

DESCRIPTIONS = {
    "polling": "Reports new and changed files in a folder.",
    "passive": "Ticks at an interval.",
}

OF_THE_API = {"Sensor", "PollingSensor"}


def init(
    _config_files: Sequence[str], *, folder: str, class_name: str | None, polling: bool, json_output: bool
) -> None:
    path, kind = Path(folder), "polling" if polling else "passive"
    names = _names(path, class_name, kind)
    _refuse_what_is_there(path)
    made = [_write(path, file, template, names) for file, template in _files(kind, names)]
    if json_output:
        fields = {"folder": folder, "sensor": f"{names['pack']}.{names['class_name']}", "files": list(map(str, made))}
        click.echo(json.dumps({"pack": names["pack"], **fields}))
        return
    out = console()
    out.print(_tree(folder, made))
    shown = shlex.quote(folder)
    tests = shlex.quote(os.path.join(folder, "tests"))
    commands = (f"st2sensor dev {shown}", f"pip install pytest && pytest {tests}", f"st2sensor validate {shown}")
    out.print("\n  ".join(("\nNow try:", *commands)), soft_wrap=True)


def _names(path: Path, class_name: str | None, kind: str) -> dict[str, str]:
    """Return the values of the placeholders in the templates. Raises BadParameter."""
    pack = Path(os.path.abspath(path)).name
    if not re.fullmatch(r"[a-z0-9_]+", pack):
        raise click.BadParameter(
            f"{pack!r} cannot be the name of a pack; use lower-case letters, digits and _", param_hint="PACK"
        )
    name = class_name or "".join(part[:1].upper() + part[1:] for part in pack.split("_")) + "Sensor"
    if not re.fullmatch(r"[A-Z][A-Za-z0-9_]*", name) or keyword.iskeyword(name) or name in OF_THE_API:
        raise click.BadParameter(
            f"{name!r} cannot be the name of the sensor's class; choose one like WallClock", param_hint="--sensor"
        )
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
    # The suffix keeps it from shadowing a module that others import.
    module = words if words.endswith("_sensor") else f"{words}_sensor"
    return {"pack": pack, "class_name": name, "module": module, "description": DESCRIPTIONS[kind]}


def _refuse_what_is_there(path: Path) -> None:
    if path.is_dir() and not any(path.iterdir()):
        return
    if os.path.lexists(path):
        raise AlreadyThere(f"{path} already exists and is not overwritten; choose another name")


def _files(kind: str, names: dict[str, str]) -> list[tuple[Path, Path]]:
    """Return the files of a pack, relative to its folder, with their templates; sorted by name."""
    found = []
    for room in (TEMPLATES / "pack", TEMPLATES / kind):
        for template in room.rglob(f"*{SUFFIX}"):
            relative = str(template.relative_to(room)).removesuffix(SUFFIX)
            found.append((Path(relative.replace("PACK", names["pack"]).replace("NAME", names["module"])), template))
    return sorted(found)


def _write(pack: Path, file: Path, template: Path, names: dict[str, str]) -> Path:
    target = pack / file
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("x", encoding="utf-8") as stream:
        text = Template(template.read_text(encoding="utf-8")).substitute(names)
        stream.write(_aligned(text) if file.suffix == ".md" else text)
    return file


def _aligned(text: str) -> str:
    """Return a text in which the columns of indented lines are aligned, for names of any length."""
    width = max(len(name) for name, _ in ROW.findall(text))
    return ROW.sub(lambda row: f"    {row[1]:{width}}  {row[2]}", text)


def _tree(folder: str, files: list[Path]) -> Tree:
    tree = Tree(Text(folder))
    branches = {Path(): tree}
    for file in sorted(files, key=lambda file: (len(file.parts) == 1, file)):
        if file.parent not in branches:
            branches[file.parent] = tree.add(f"{file.parent}/")
        branches[file.parent].add(file.name)
    return tree
