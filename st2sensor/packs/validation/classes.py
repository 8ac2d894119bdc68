"""Reads a sensor's class, and finds its kind and missing methods."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from st2sensor.packs.validation.program import FUNCTIONS, Module, Program, terminal

BASES = {"Sensor": "run", "PollingSensor": "poll"}
"""Kinds of sensors, each with the method that does the work."""

REQUIRED = ("setup", "cleanup", "add_trigger", "update_trigger", "remove_trigger")


@dataclass(frozen=True, slots=True, kw_only=True)
class Class:
    """A sensor's class whose bases are all known.

    :param kind: one of BASES.
    :param methods: the methods that it or its bases in the pack define, with file and line.
    :param names: every name and attribute that it uses.
    """

    file: Path
    line: int
    kind: str
    methods: dict[str, tuple[Path, int]]
    names: frozenset[str]

    @property
    def missing(self) -> list[str]:
        """Abstract methods that it does not define."""
        return sorted({*REQUIRED, BASES[self.kind]} - self.methods.keys())


def class_of(program: Program, name: str) -> Class | None:
    """Return the class of this name in the first module; None when it is missing or not fully known."""
    module = program.modules[0] if program.modules else None
    found = [] if module is None else [item for item in module.classes() if item.name == name]
    if len(found) != 1 or module is None:
        return None
    chain = list(_chain(program, module, found[0]))
    kind = chain[-1][1]
    if not isinstance(kind, str):
        return None
    methods: dict[str, tuple[Path, int]] = {}
    names: set[str] = set()
    for owner, item in chain:
        if isinstance(item, ast.ClassDef):
            methods = _methods(owner, item) | methods
            names |= {terminal(node) for node in ast.walk(item)}
    return Class(file=module.file, line=_line(found[0]), kind=kind, methods=methods, names=frozenset(names))


def _chain(program: Program, module: Module, start: ast.ClassDef) -> Iterator[tuple[Module, ast.ClassDef | str | None]]:
    """Yield a class and its bases; the last item is the kind, or None when it is uncertain."""
    item, seen = start, set[ast.ClassDef]()
    while True:
        yield module, item
        seen.add(item)
        if len(item.bases) != 1 or item.keywords or item.decorator_list:
            yield module, None
            return
        base = terminal(item.bases[0])
        candidates = [(owner, found) for owner in program.modules for found in owner.classes() if found.name == base]
        if not candidates:
            yield module, base if base in BASES and _is_imported(module, item.bases[0], base) else None
            return
        if len(candidates) > 1 or candidates[0][1] in seen:
            yield module, None
            return
        module, item = candidates[0]


def _is_imported(module: Module, base: ast.expr, name: str) -> bool:
    """Tell whether a base is the one of the sensor API."""
    if isinstance(base, ast.Attribute):
        return terminal(base.value) == "base"
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module in ("st2reactor.sensor.base", "st2sensor.sensor", "st2sensor")
        and any(alias.name == name and alias.asname is None for alias in node.names)
        for node in ast.walk(module.tree)
    )


def _methods(module: Module, item: ast.ClassDef) -> dict[str, tuple[Path, int]]:
    """Return what a class's body defines, also by an assignment, without abstract methods."""
    found: dict[str, tuple[Path, int]] = {}
    for node in ast.walk(item):
        if module.class_of(node) is not item or module.function_of(node) is not None:
            continue
        if isinstance(node, FUNCTIONS):
            if "abstractmethod" not in map(terminal, node.decorator_list):
                found[node.name] = (module.file, node.lineno)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found[node.id] = (module.file, node.lineno)
    return found


def _line(item: ast.ClassDef) -> int:
    return item.decorator_list[0].lineno if item.decorator_list else item.lineno
