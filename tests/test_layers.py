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

ORDER = {
    "": """
        errors
        portable
        models settings sensor reports health backoff masking system
        config logs schemas workers
        storage transport
        datastore
        packs
        sharing
        outbox
        dispatch
        delivery
        wrapper
        testing
        container
        core_pack status
        cli
        """,
    "container": """
        broadcast systemd
        launch desired
        sessions
        supervision
        lifetime targets
        node operators
        parts
        assembly supervisor
        """,
    "container.desired": """
        snapshot watch membership
        snapshot_reader refresh
        """,
    "container.operators": """
        clipping hangs locations neighbours pipeline recent_logs usage
        operations reporter
        control
        interface
        """,
    "container.sessions": """
        activity unanswered outgoing node
        session
        assignments endpoint release datastore events
        wrapper_methods
        """,
    "container.sessions.datastore": """
        announcer call fair_queue
        call_threads
        database_calls
        leased_calls
        batches
        methods
        """,
    "packs": """
        yaml_files registrable storable bundled
        metadata
        discovery overrides
        configuration
        code
        registration
        validation
        """,
    "outbox": """
        entry
        tail incoming
        backlog
        database waiting
        commits
        upkeep
        writer
        outbox
        """,
    "wrapper": """
        audit connection schemas stop
        green logs service
        loading exits
        forking process
        main
        __main__
        """,
    "cli": """
        text
        invocation configuration
        inspection
        content_changes daemon events registration
        development
        commands
        declarations
        st2sensor st2ctl st2sensorcontainer st2_register_content st2_generate_symmetric_crypto_key
        __main__
        """,
}
"""The modules and folders of a folder, lowest first. A module imports only from its own line and those above it."""

OWNERS: dict[str, str | tuple[str, ...]] = {
    "oslo_config": "config",
    "pymongo": "storage.mongo",
    "kombu": "transport.amqp",
    "amqp": "transport.amqp",
    "cryptography": "portable.crypto",
    "jinja2": "packs.configuration.rendering",
    "packaging": "packs.validation",
    "statsd": "delivery.statsd",
    "aiohttp": ("status", "core_pack.webhooks"),
    "apscheduler": "core_pack.timers",
    "prometheus_client": "status",
    "uvloop": "cli",
    "click": "cli",
    "rich": "cli",
    "pytest": "testing.plugin",
    "watchfiles": "cli",
}
"""Third-party packages that belong to one place."""

NEVER_EACH_OTHER = [("storage", "transport"), ("container", "wrapper"), ("container", "testing")]

NAMED = re.compile(r"(?P<root>[a-z]\w*)(\.\w+)*:\w+", re.ASCII)
"""How lazy.resolve is told what to load."""

IMPORTERS = {"import_module", "__import__"}

MAY_IMPORT_BY_NAME = {"system.lazy", "wrapper.__main__", "wrapper.loading.loader"}
"""The last two run the code of packs."""

PORTABLE = {"errors", "sensor", "portable", "wrapper", "testing"}
"""What runs in a pack's interpreter, and imports nothing else."""

ITS_OWN_LIBRARY = {"testing.plugin": "pytest", "portable.crypto": "cryptography"}
"""pytest loads its plugins itself. A pack that encrypts has the library in its own interpreter."""

MOST_LINES = 300
MOST_MODULES = 12

LARGE_FOLDERS = {"cli.commands": "a module for each command, found by its name"}

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


def place_in(folder: str, name: str) -> str:
    """The module or folder of a folder that a module is, or is in."""
    return name.removeprefix(f"{folder}." if folder else "").partition(".")[0]


@functools.cache
def rank(folder: str) -> dict[str, int]:
    return {name: line for line, names in enumerate(ORDER[folder].split("\n")) for name in names.split()}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_down(path: Path) -> None:
    name = name_of(path)
    for other in own(path):
        for folder in ORDER:
            if all(inner.startswith(f"{folder}." if folder else "") for inner in (name, other)):
                here, there = place_in(folder, name), place_in(folder, other)
                assert rank(folder)[there] <= rank(folder)[here], f"{name} imports {other}"
        for pair in NEVER_EACH_OTHER:
            room, target = place_in("", name), place_in("", other)
            assert not (room in pair and target in pair and room != target), f"{name} imports {other}"


FOLDERS = sorted({name_of(path.parent / "__init__.py") for path in MODULES})


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_parts_of_a_folder_form_no_circle(folder: str) -> None:
    start = f"{folder}." if folder else ""
    below: dict[str, set[str]] = {}
    for path in MODULES:
        name = name_of(path)
        if name.startswith(start) and name:
            here = place_in(folder, name)
            inside = {place_in(folder, other) for other in own(path) if other.startswith(start)}
            below.setdefault(here, set()).update(inside - {here})
    TopologicalSorter(below).prepare()


@pytest.mark.parametrize("folder", FOLDERS)
def test_folders_are_small(folder: str) -> None:
    inside = [path for path in MODULES if path.parent == PACKAGE.joinpath(*filter(None, folder.split(".")))]
    if folder not in LARGE_FOLDERS:
        assert len([path for path in inside if not path.stem.startswith("__")]) <= MOST_MODULES


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_are_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_LINES


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


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_what_runs_in_a_packs_interpreter_needs_the_standard_library_alone(path: Path) -> None:
    name = name_of(path)
    if place_in("", name) not in PORTABLE:
        return
    for full in imports(path):
        root = full.partition(".")[0]
        if ITS_OWN_LIBRARY.get(name) != root:
            assert root == "st2sensor" or root in sys.stdlib_module_names, f"{name} imports {full}"
    assert {place_in("", other) for other in own(path)} <= PORTABLE, name


def test_every_module_has_a_place_in_the_order() -> None:
    for folder in ORDER:
        start = f"{folder}." if folder else ""
        names = [name_of(path) for path in MODULES]
        assert {place_in(folder, name) for name in names if name.startswith(start) and name} == set(rank(folder))
