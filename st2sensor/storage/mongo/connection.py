"""A client of MongoDB, and its errors as ours."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pymongo
from bson.errors import BSONError
from pymongo import ReadPreference, WriteConcern, errors
from pymongo.collection import Collection
from pymongo.read_concern import ReadConcern

from st2sensor.errors import ConfigError, StorageError, StorageUnavailable
from st2sensor.storage.documents import Document

UNREACHABLE = (errors.ConnectionFailure, errors.ExecutionTimeout, errors.NetworkTimeout)


class Connection:
    """:param url: `mongodb://...`.
    :param database: used unless the URL names one, as in StackStorm.
    :param timeout: seconds to find a server; :param answer_timeout: seconds that one has to answer.
    :param client: pymongo's options beside the URL's.

    Raises ConfigError.
    """

    def __init__(
        self,
        url: str,
        *,
        database: str,
        timeout: float,
        answer_timeout: float,
        client: Mapping[str, Any] | None = None,
    ) -> None:
        milliseconds = int(timeout * 1000)
        self._answer_timeout = int(answer_timeout * 1000)
        try:
            self.client: pymongo.MongoClient[Document] = pymongo.MongoClient(
                url,
                serverSelectionTimeoutMS=milliseconds,
                connectTimeoutMS=milliseconds,
                socketTimeoutMS=self._answer_timeout,
                appname="st2sensor",
                connect=False,
                **(client or {}),
            )
            self.database = self.client.get_default_database(database)
        except (errors.PyMongoError, ValueError, TypeError) as exception:
            raise ConfigError(f"[database]: {_without_password(str(exception))}") from exception
        self._address = _without_password(url)

    def safe(self, name: str) -> Collection[Document]:
        """A collection of which nothing that was written or read is ever undone, whichever server dies."""
        return self.database.get_collection(
            name,
            read_concern=ReadConcern("majority"),
            read_preference=ReadPreference.PRIMARY,
            write_concern=WriteConcern("majority", j=True, wtimeout=self._answer_timeout),
        )

    @contextmanager
    def failures(self) -> Iterator[None]:
        try:
            yield
        except UNREACHABLE as exception:
            raise StorageUnavailable(
                f"cannot reach MongoDB at {self._address}: {_first_line(exception)}; "
                "is it running, and are [database] connection or host and port right?",
                uncertain=not isinstance(exception, errors.ServerSelectionTimeoutError),
            ) from exception
        except (errors.PyMongoError, BSONError, OverflowError) as exception:
            raise StorageError(f"MongoDB at {self._address} refused: {_first_line(exception)}") from exception

    def close(self) -> None:
        self.client.close()


def _first_line(exception: Exception) -> str:
    # Server selection errors go on with the timeouts and a dump of the whole topology.
    return (str(exception).splitlines() or [type(exception).__name__])[0].split(" (configured timeouts")[0]


def _without_password(url: str) -> str:
    # Options may hold passwords, too.
    return re.sub(r"//.*@", "//", url).partition("?")[0]
