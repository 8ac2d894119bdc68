"""A client of MongoDB that raises our errors."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pymongo
from pymongo import ReadPreference, WriteConcern, errors
from pymongo.collection import Collection
from pymongo.read_concern import ReadConcern

from st2sensor.errors import ConfigError
from st2sensor.storage.fields import Document
from st2sensor.storage.mongo.decoding import TOLERANT
from st2sensor.storage.mongo.failures import FOREIGN, as_ours

FILES = {
    "tlscafile": "tls_ca_file (or ssl_ca_certs)",
    "tlscertificatekeyfile": "tls_certificate_key_file",
    "tlscrlfile": "connection, tlsCRLFile",
}
"""Our keys for the client's options that name files. The options are in lower case."""

CONFIRMED_IN = 0.9
"""Share of the answer timeout after which the server itself reports that no majority has confirmed a write."""


class Connection:
    """A client with its database. Raises ConfigError.

    :param url: `mongodb://...`.
    :param database: name of the database, unless the URL names one, as in StackStorm.
    :param timeout: seconds to find a server.
    :param answer_timeout: seconds within which a server must answer.
    :param client: pymongo's options besides those in the URL.
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
            self.database = self.client.get_default_database(database, codec_options=TOLERANT)
        except (errors.PyMongoError, OSError, ValueError, TypeError) as exception:
            problem = _unreadable(url, client or {}) or f"[database]: {_without_password(str(exception))}"
            raise ConfigError(problem) from exception
        self._address = _without_password(url)

    def safe(self, name: str) -> Collection[Document]:
        """Return a collection with majority read and write concern: nothing is undone if a server dies."""
        return self.database.get_collection(
            name,
            read_concern=ReadConcern("majority"),
            read_preference=ReadPreference.PRIMARY,
            write_concern=WriteConcern("majority", j=True, wtimeout=int(self._answer_timeout * CONFIRMED_IN)),
        )

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Turn the client's errors into StorageUnavailable and StorageError."""
        try:
            yield
        except FOREIGN as exception:
            raise as_ours(exception, self._address) from exception

    def close(self) -> None:
        self.client.close()


def _unreadable(url: str, client: Mapping[str, Any]) -> str | None:
    """Say which file for TLS cannot be used, and why. None if all can be used."""
    named = {name.lower(): value for name, value in client.items()}
    with suppress(ValueError):
        named |= {name.lower(): value for name, value in parse_qsl(urlsplit(url).query)}
    for option, key in FILES.items():
        path = named.get(option)
        try:
            if path is not None:
                _load(option, str(path), str(named.get("tlscertificatekeyfilepassword", "")))
        except OSError as exception:
            # SSL's errors are also OSErrors.
            reason = exception.strerror or str(exception)
            return f"[database] {key}: {path} cannot be used: {reason}; name a readable file in PEM form"
    return None


def _load(option: str, path: str, password: str) -> None:
    """Try to load a file for TLS. Raises OSError."""
    with open(path, "rb"):
        # This fails first, with a clearer reason than OpenSSL gives.
        pass
    context = ssl.create_default_context()
    if option == "tlscertificatekeyfile":
        context.load_cert_chain(path, password=password)
    else:
        context.load_verify_locations(path)


def _without_password(url: str) -> str:
    # Options are removed because they may hold passwords.
    return re.sub(r"//.*@", "//", url).partition("?")[0]
