"""Finds the modules that a sensor's code imports, by reading the code. Nothing is executed."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from st2sensor.system import regular_file

LARGEST = 4_000_000
"""Maximum number of bytes of code that is read. Larger files are treated as unreadable: they may take gigabytes."""

UNREADABLE = (OSError, SyntaxError, ValueError, RecursionError, MemoryError)
"""Errors of reading code and parsing it; the parser raises MemoryError for deep nesting."""

IMPORTERS = ("import_module", "__import__")
"""Functions whose first argument names a module to import."""


def imports(file: Path, folders: Sequence[Path]) -> set[str]:
    """Return the full names of the modules that a file imports, directly or through modules in `folders`.

    Imports inside functions are included, and relative imports are followed. A file that cannot be read or parsed is
    treated as importing nothing.

    :param folders: where the pack's own modules are, as on the module search path.
    """
    return {name for _, imported in _walk(file, folders) for level, name in imported if level == 0}


def modules(file: Path, folders: Sequence[Path]) -> list[Path]:
    """Return the file and the files in `folders` that it imports, directly or indirectly."""
    return [path for path, _ in _walk(file, folders)]


def _walk(file: Path, folders: Sequence[Path]) -> Iterator[tuple[Path, tuple[tuple[int, str], ...]]]:
    """Yield each file once, with its imports."""
    seen: set[Path] = set()
    waiting = [file]
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        imported = _imports_of(current)
        yield current, imported
        for level, name in imported:
            waiting += _modules(name, _origin(current, level, folders))


def _imports_of(file: Path) -> tuple[tuple[int, str], ...]:
    """Return a pair for each import: its level (0 for an absolute import) and its dotted name."""
    try:
        status = file.stat()
    except OSError:
        return ()
    return _parsed(file, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4096)
def _parsed(file: Path, modified: int, size: int) -> tuple[tuple[int, str], ...]:  # noqa: ARG001 (the cache's key)
    try:
        tree = ast.parse(regular_file.read(file, LARGEST))
    except UNREADABLE:
        return ()
    return tuple(dict.fromkeys(_imports_in(tree)))


def _imports_in(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            stem = f"{node.module}." if node.module else ""
            yield from ((node.level, f"{stem}{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and _name(node.func) in IMPORTERS:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield 0, first.value


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _origin(file: Path, level: int, folders: Sequence[Path]) -> Sequence[Path]:
    return folders if level == 0 else [file.parents[min(level, len(file.parents)) - 1]]


def _modules(name: str, folders: Sequence[Path]) -> Iterator[Path]:
    """Yield the files that importing a dotted name may execute: its packages and the module."""
    for folder in folders:
        path = str(folder)
        for part in name.split("."):
            path = os.path.join(path, part)
            yield from (
                Path(file) for file in (f"{path}.py", os.path.join(path, "__init__.py")) if os.path.isfile(file)
            )
            if not os.path.isdir(path):
                break
