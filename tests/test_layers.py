"""The layers: an import goes to the same layer or a lower one, never up, never in a circle, never inside a function.

What st2sensor.system.lazy loads by name counts as an import of the module that names it.
"""

from __future__ import annotations

import ast
import functools
import re
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from st2sensor.system.lazy import resolve

PACKAGE = Path(__file__).parent.parent / "st2sensor"

LAYERS = {
    "errors models sensor rpc event settings payload isotime command trace reports health keyspace lazy": 0,
    "environment excerpt threads private_file": 0,
    "config logs log_files metrics schema schema_program checks objection backoff crypto visitors doors": 1,
    "storage transport workers": 2,
    "packs datastore keyring keys key_value_triggers partition sharing": 3,
    "audience outbox outbox_file held_back delivery dispatch checker encoder catalogue watch dead_letters": 3,
    "adoption traffic": 3,
    "container wrapper status core": 4,
    "cli testing": 5,
}
LAYER = {name: layer for names, layer in LAYERS.items() for name in names.split()}

OWNERS: dict[str, str | tuple[str, ...]] = {
    "oslo_config": "config",
    "pymongo": "storage.mongo",
    "kombu": "transport.amqp",
    "amqp": "transport.amqp",
    "cryptography": "crypto",
    "jinja2": "packs.rendering",
    "packaging": "packs.validation",
    "statsd": "metrics",
    "aiohttp": ("status", "core.webhooks"),
    "apscheduler": "core.timers",
    "prometheus_client": "status",
    "uvloop": "cli",
    "click": "cli",
    "rich": "cli",
    "pytest": "testing.plugin",
    "watchfiles": "cli",
}
"""Third-party packages that belong to one place."""

NEVER_EACH_OTHER = [("storage", "transport"), ("container", "wrapper")]

NAMED = re.compile(r"(?P<root>[a-z]\w*)(\.\w+)*:\w+", re.ASCII)
"""How lazy.resolve is told what to load."""

IMPORTERS = {"import_module", "__import__"}

MAY_IMPORT_BY_NAME = {"lazy", "wrapper.__main__", "wrapper.loader"}
"""The last two run the code of packs."""

WRAPPER = {"testing", "wrapper", "excerpt", "sensor", "rpc", "errors", "payload", "trace", "keyspace", "isotime"}

MODULES = [
    path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.relative_to(PACKAGE).parts[0] != "compat" and path.parent != PACKAGE.parent
]


@functools.cache
def nodes(path: Path) -> list[ast.AST]:
    """All of a module's syntax."""
    return list(ast.walk(ast.parse(path.read_text())))


@functools.cache
def name_of(path: Path) -> str:
    """A module's name below st2sensor; empty for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports(path: Path) -> Iterator[str]:
    """Full names of what a module imports, or has lazy.resolve import."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
    for target in names(path):
        yield target.replace(":", ".")


def names(path: Path) -> Iterator[str]:
    """What a module has lazy.resolve load."""
    for node in nodes(path):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            named = NAMED.fullmatch(node.value)
            if named and named["root"] in {"st2sensor", *OWNERS}:
                yield node.value


@functools.cache
def own(path: Path) -> set[str]:
    """The st2sensor modules a module imports."""
    known = {name_of(other) for other in MODULES}
    found = set()
    for full in imports(path):
        if full.startswith("st2sensor."):
            name = full.removeprefix("st2sensor.")
            found.add(name if name in known else name.rpartition(".")[0])
    return found - {""}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_down(path: Path) -> None:
    room = name_of(path).partition(".")[0]
    for other in own(path):
        target = other.partition(".")[0]
        if room:
            assert LAYER[target] <= LAYER[room], f"{name_of(path)} imports {other}"
        for pair in NEVER_EACH_OTHER:
            assert not (room in pair and target in pair and room != target), f"{name_of(path)} imports {other}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_libraries_belong_to_one_place(path: Path) -> None:
    for full in imports(path):
        owner = OWNERS.get(full.partition(".")[0])
        assert owner is None or name_of(path).startswith(owner), f"{name_of(path)} imports {full}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_import_is_inside_a_function(path: Path) -> None:
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for inner in ast.walk(node):
                assert not isinstance(inner, ast.Import | ast.ImportFrom), f"{name_of(path)}: {node.name}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_one_place_imports_by_name(path: Path) -> None:
    if name_of(path) in MAY_IMPORT_BY_NAME:
        return
    for node in nodes(path):
        name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
        assert name not in IMPORTERS, f"{name_of(path)} imports by name: have st2sensor.system.lazy do that"
        if isinstance(node, ast.ImportFrom):
            assert IMPORTERS.isdisjoint(alias.name for alias in node.names), name_of(path)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_what_is_named_is_there(path: Path) -> None:
    for target in names(path):
        assert callable(resolve(target)), target


def test_the_vocabulary_and_the_wrapper_import_the_standard_library_alone() -> None:
    for path in MODULES:
        room = name_of(path).partition(".")[0]
        if room not in WRAPPER and LAYER.get(room) != 0:
            continue
        for full in imports(path):
            root = full.partition(".")[0]
            if OWNERS.get(root) == "testing.plugin":
                # pytest brings itself; nothing but that one module needs it.
                continue
            assert root == "st2sensor" or root in sys.stdlib_module_names, f"{name_of(path)} imports {full}"
        if room in WRAPPER:
            assert {other.partition(".")[0] for other in own(path)} <= WRAPPER, name_of(path)


def test_there_are_no_circles() -> None:
    TopologicalSorter({name_of(path): own(path) - {name_of(path)} for path in MODULES}).prepare()


def test_every_module_has_a_room() -> None:
    assert {name_of(path).partition(".")[0] for path in MODULES} - {""} == set(LAYER)
