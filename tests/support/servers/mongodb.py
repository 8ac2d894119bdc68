"""A private mongod on a free port, from the test dependency that contains one."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pymongo
from pymongo.errors import PyMongoError

from tests.plugins import failures
from tests.plugins.patience import LATER
from tests.support.servers.ports import free_port
from tests.support.servers.process import Server
from tests.support.servers.waiting import eventually


def executable() -> Path | None:
    """Return the path of a mongod, or None."""
    found = shutil.which("mongod")
    if found:
        return Path(found)
    # Its package must not be imported, because it requires more than is installed.
    spec = importlib.util.find_spec("fiftyone")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        mongod = Path(folder) / "db" / "bin" / "mongod"
        if mongod.exists():
            if not os.access(mongod, os.X_OK):
                mongod.chmod(0o755)
            return mongod
    return None


class MongoDB:
    """:param folder: holds data and log.

    :param options: command-line options besides those that make the server private.
    :param client: options with which pymongo checks whether the server answers.
    :param within: a prefix of the command, for example to enter a namespace; :param address: to listen on.
    """

    def __init__(
        self,
        folder: Path,
        *options: str,
        client: dict[str, Any] | None = None,
        within: Sequence[str] = (),
        address: str = "127.0.0.1",
    ) -> None:
        self._folder = folder
        self._options = options
        self._client = client or {}
        self._within = within
        self.address = address
        self.port = free_port()
        self._process: Server | None = None
        failures.remember(self)

    @property
    def url(self) -> str:
        return f"mongodb://{self.host}"

    @property
    def host(self) -> str:
        return f"{self.address}:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        mongod = executable()
        assert mongod is not None
        data = self._folder / "mongodb"
        data.mkdir(parents=True, exist_ok=True)
        command = [
            *self._within,
            str(mongod),
            "--dbpath",
            str(data),
            "--port",
            str(self.port),
            "--bind_ip",
            self.address,
        ]
        command += [
            "--logpath",
            str(self._folder / "mongod.log"),
            "--wiredTigerCacheSizeGB",
            "0.25",
            "--nounixsocket",
            # It would collect statistics once a second.
            "--setParameter",
            "diagnosticDataCollectionEnabled=false",
            *self._options,
        ]
        self._process = Server(command, env={**os.environ, "LC_ALL": "C"}, folder=self._folder)
        eventually("mongod answers", self._answers, LATER)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def testimony(self) -> Iterator[tuple[str, str]]:
        state = "is stopped" if self._process is None else "answers" if self._answers() else "does not answer"
        yield f"MongoDB at {self.host}", f"{state}\n{failures.tail(self._folder / 'mongod.log')}"

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.end(number)
            self._process = None

    def _answers(self) -> bool:
        with pymongo.MongoClient[Any](
            self.url, serverSelectionTimeoutMS=200, directConnection=True, **self._client
        ) as client:
            try:
                client.admin.command("ping")
            except PyMongoError:
                return False
            return True
