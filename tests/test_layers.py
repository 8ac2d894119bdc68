"""The layers: an import goes to the same layer or a lower one, never up, never in a circle, never inside a function.

A module that has st2sensor.system.lazy load a name imports that name. Each rule is one test, which names every
violation.
"""

from __future__ import annotations

import ast
import functools
import re
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from st2sensor.system.lazy import resolve

PACKAGE = Path(__file__).parent.parent / "st2sensor"

ORDER = {
    "": """
        errors
        portable
        models settings sensor reports health backoff masking system
        trouble expectations
        config logs matching schemas workers
        storage transport
        datastore secrets
        packs
        sharing
        outbox
        history
        dispatch
        delivery
        why
        shown
        api
        push
        wrapper
        testing
        container
        core_pack
        status
        cli
        __main__
        """,
    "container": """
        broadcast systemd expectations
        launch desired
        sessions
        supervision
        lifetime targets
        node operators duplicates
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
        control_methods
        interface
        """,
    "container.sessions": """
        activity unanswered outgoing node secret_watch
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
        yaml_text
        yaml_files registrable storable bundled
        metadata
        discovery overrides
        instances
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
        gate
        commits
        upkeep
        writer
        outbox
        """,
    "wrapper": """
        audit connection schemas stop
        green logs service
        callbacks loading exits
        forking process
        main
        __main__
        """,
    "cli": """
        text interrupt
        invocation configuration
        inspection
        content_changes daemon events registration
        development
        commands
        declarations
        st2sensor st2ctl st2sensorcontainer st2_register_content st2_generate_symmetric_crypto_key
        manual
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
    "aiohttp": ("status", "api", "push", "core_pack.webhooks"),
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
"""The form of the names that lazy.resolve loads."""

IMPORTED = re.compile(r"\bfrom (st2sensor[.\w]*) import (\([^)]*\)|[^\n;]+)|\bimport (st2sensor[.\w]*)")
"""Matches an import in a text that holds code: module and names, or the module alone."""

IMPORTERS = {"import_module", "__import__"}

MAY_IMPORT_BY_NAME = {"system.lazy", "wrapper.__main__", "wrapper.loading.loader"}
"""Modules that import by name. The last two run the code of packs."""

PORTABLE = {"errors", "sensor", "portable", "wrapper", "testing"}
"""The parts that run in a pack's interpreter. They import no others."""

ITS_OWN_LIBRARY = {"testing.plugin": "pytest", "portable.crypto": "cryptography"}
"""Exceptions: pytest loads its plugins itself, and a pack that encrypts has the library in its own interpreter."""

MOST_LINES = 300
"""Lines of a module."""

MOST_MODULES = 12
"""Modules of a folder."""

LARGE_FOLDERS = {"cli.commands": "a module for each command, found by its name"}
"""Folders that may have more modules, with the reason."""

UNIT_TESTS = Path(__file__).parent / "unit"

BESIDES_THE_PACKAGE = {
    "bench": "tests/bench",
    "conf": "the files in conf/",
    "docs": "the guides",
    "linux": "the pack in packs/linux",
}
"""Folders of unit tests that test something else than modules."""

MODULES = [
    path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.relative_to(PACKAGE).parts[0] != "compat" and path.parent != PACKAGE.parent
]


@functools.cache
def nodes(path: Path) -> list[ast.AST]:
    """Return all of a module's syntax."""
    return list(ast.walk(ast.parse(path.read_text())))


@functools.cache
def name_of(path: Path) -> str:
    """Return a module's name below st2sensor, which is empty for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


NAMES = {name_of(path) for path in MODULES}


@functools.cache
def imports(path: Path) -> list[str]:
    """Return the full names that a module imports, or has lazy.resolve import."""
    found = [target.replace(":", ".") for target in names(path)]
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def names(path: Path) -> Iterator[str]:
    """Yield the names that a module has lazy.resolve load."""
    for node in nodes(path):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            named = NAMED.fullmatch(node.value)
            if named and named["root"] in {"st2sensor", *OWNERS}:
                yield node.value


@functools.cache
def own(path: Path) -> set[str]:
    """Return the st2sensor modules that a module imports."""
    found = set()
    for full in imports(path):
        if full.startswith("st2sensor."):
            name = full.removeprefix("st2sensor.")
            found.add(name if name in NAMES else name.rpartition(".")[0])
    return found - {""}


def place_in(folder: str, name: str) -> str:
    """Return the part of a folder, a module or another folder, that a module is or is in."""
    return name.removeprefix(f"{folder}." if folder else "").partition(".")[0]


@functools.cache
def rank(folder: str) -> dict[str, int]:
    return {name: line for line, names in enumerate(ORDER[folder].split("\n")) for name in names.split()}


FOLDERS = sorted({name_of(path.parent / "__init__.py") for path in MODULES})


def listed(wrong: list[str]) -> str:
    """Return all violations of a rule, which pytest would shorten."""
    return "\n".join(["", *wrong])


def test_imports_go_down() -> None:
    wrong = []
    for path in MODULES:
        name = name_of(path)
        for other in sorted(own(path)):
            if goes_up(name, other) or joins_a_pair(name, other):
                wrong.append(f"{name} imports {other}")
    assert not wrong, listed(wrong)


def goes_up(name: str, other: str) -> bool:
    """Return whether `other` is on a later line than `name`, in any folder that holds both."""
    for folder in ORDER:
        if all(inner.startswith(f"{folder}." if folder else "") for inner in (name, other)):
            here, there = place_in(folder, name), place_in(folder, other)
            if rank(folder)[there] > rank(folder)[here]:
                return True
    return False


def joins_a_pair(name: str, other: str) -> bool:
    """Return whether the two are in folders that never import each other."""
    ends = {place_in("", name), place_in("", other)}
    return any(ends == set(pair) for pair in NEVER_EACH_OTHER)


def test_the_parts_of_a_folder_form_no_circle() -> None:
    wrong = []
    for folder in FOLDERS:
        try:
            TopologicalSorter(below(folder)).prepare()
        except CycleError as error:
            wrong.append(f"{folder or 'st2sensor'}: {' <- '.join(error.args[1])}")
    assert not wrong, listed(wrong)


def below(folder: str) -> dict[str, set[str]]:
    """Return the parts of a folder, each with the other parts that it imports."""
    start = f"{folder}." if folder else ""
    parts: dict[str, set[str]] = {}
    for path in MODULES:
        name = name_of(path)
        if name.startswith(start) and name:
            here = place_in(folder, name)
            inside = {place_in(folder, other) for other in own(path) if other.startswith(start)}
            parts.setdefault(here, set()).update(inside - {here})
    return parts


def test_folders_are_small() -> None:
    wrong = []
    for folder in FOLDERS:
        place = PACKAGE.joinpath(*filter(None, folder.split(".")))
        inside = [path for path in MODULES if path.parent == place and not path.stem.startswith("__")]
        if len(inside) > MOST_MODULES and folder not in LARGE_FOLDERS:
            wrong.append(f"{folder or 'st2sensor'} has {len(inside)} modules")
    assert not wrong, listed(wrong)


def test_modules_are_small() -> None:
    lines = {name_of(path): len(path.read_text().splitlines()) for path in MODULES}
    wrong = [f"{name} has {count} lines" for name, count in lines.items() if count > MOST_LINES]
    assert not wrong, listed(wrong)


def test_unit_tests_are_named_after_what_they_test() -> None:
    wrong = []
    for path in sorted(UNIT_TESTS.rglob("test_*.py")):
        place = path.relative_to(UNIT_TESTS)
        tested = PACKAGE / place.parent / place.stem.removeprefix("test_")
        if place.parts[0] not in BESIDES_THE_PACKAGE and not (tested.is_dir() or tested.with_suffix(".py").exists()):
            wrong.append(f"{place}: there is no {tested.relative_to(PACKAGE.parent)}")
    assert not wrong, listed(wrong)


def test_libraries_belong_to_one_place() -> None:
    wrong = []
    for path in MODULES:
        for full in imports(path):
            owner = OWNERS.get(full.partition(".")[0])
            if owner is not None and not name_of(path).startswith(owner):
                wrong.append(f"{name_of(path)} imports {full}")
    assert not wrong, listed(wrong)


def test_no_import_is_inside_a_function() -> None:
    wrong = []
    for path in MODULES:
        for node in nodes(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                inner = ast.walk(node)
                if any(isinstance(part, ast.Import | ast.ImportFrom) for part in inner):
                    wrong.append(f"{name_of(path)}: {node.name}")
    assert not wrong, listed(wrong)


def test_one_place_imports_by_name() -> None:
    wrong = []
    for path in MODULES:
        if name_of(path) not in MAY_IMPORT_BY_NAME:
            used = {name for node in nodes(path) for name in words(node)}
            wrong += [f"{name_of(path)} uses {name}" for name in sorted(used & IMPORTERS)]
    assert not wrong, listed(["have st2sensor.system.lazy import by name:", *wrong])


def words(node: ast.AST) -> list[str]:
    """Return the names that a piece of syntax uses or imports."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        return [node.attr]
    if isinstance(node, ast.ImportFrom):
        return [alias.name for alias in node.names]
    return []


def test_what_is_named_is_there() -> None:
    wrong = []
    for path in MODULES:
        for target in names(path):
            try:
                found = callable(resolve(target))
            except (ImportError, AttributeError):
                found = False
            if not found:
                wrong.append(f"{name_of(path)} names {target}")
    assert not wrong, listed(wrong)


def test_what_code_in_the_texts_of_tests_imports_is_there() -> None:
    assert missing_in("from st2sensor.errors import (\n  ConfigError,\n  Nothing as N,\n)") == [
        "st2sensor.errors.Nothing"
    ]
    assert missing_in("import st2sensor.nothing; from st2sensor import errors") == ["st2sensor.nothing"]
    wrong, seen = [], 0
    for path in sorted(set(Path(__file__).parent.rglob("*.py")) - {Path(__file__)}):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and IMPORTED.search(node.value):
                seen += 1
                where = f"{path.relative_to(PACKAGE.parent)}:{node.lineno}"
                wrong += [f"{where} imports {name}" for name in missing_in(node.value)]
    assert seen
    assert not wrong, listed(wrong)


def missing_in(code: str) -> list[str]:
    """Return the modules and names that a text of code imports from st2sensor, but that do not exist."""
    found = []
    for module, names, alone in IMPORTED.findall(code):
        targets = [alone or module]
        targets += [f"{module}.{name.split()[0]}" for name in names.strip("()").split(",") if name.strip()]
        found += [target for target in targets if not exists(target)]
    return found


@functools.cache
def exists(target: str) -> bool:
    """Return whether something is a module of st2sensor, or a name in one."""
    module, _, name = target.rpartition(".")
    try:
        return find_spec(target) is not None or hasattr(import_module(module), name)
    except ModuleNotFoundError:
        # The parent is a module, not a folder, or is missing itself.
        return module in sys.modules and hasattr(sys.modules[module], name)


def test_what_runs_in_a_packs_interpreter_needs_the_standard_library_alone() -> None:
    wrong = []
    for path in MODULES:
        name = name_of(path)
        if place_in("", name) in PORTABLE:
            roots = {full.partition(".")[0] for full in imports(path)}
            foreign = roots - sys.stdlib_module_names - {"st2sensor", ITS_OWN_LIBRARY.get(name, "")}
            own_places = {place_in("", other) for other in own(path)}
            wrong += [f"{name} imports {other}" for other in sorted(foreign | (own_places - PORTABLE))]
    assert not wrong, listed(wrong)


def test_every_module_has_a_place_in_the_order() -> None:
    wrong = []
    names = [name_of(path) for path in MODULES]
    for folder in ORDER:
        start = f"{folder}." if folder else ""
        there = {place_in(folder, name) for name in names if name.startswith(start) and name}
        wrong += [f"{start}{part} is not in ORDER" for part in sorted(there - set(rank(folder)))]
        wrong += [f"{start}{part} is only in ORDER" for part in sorted(set(rank(folder)) - there)]
    assert not wrong, listed(wrong)
