"""The command that finds one document: its options, and which errors it repeats."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from pymongo import ReadPreference, errors
from pymongo.read_concern import ReadConcern

from st2sensor.storage.mongo.decoding import TOLERANT
from st2sensor.storage.mongo.finder import Finder


class Server:
    """A database that answers commands in turn, with documents or errors."""

    def __init__(self, *answers: Any, concern: str | None = None, retry_reads: bool = True) -> None:
        self.client = SimpleNamespace(options=SimpleNamespace(retry_reads=retry_reads))
        self.commands: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self._answers = list(answers)
        collection: Any = SimpleNamespace(
            name="entries",
            database=self,
            read_concern=ReadConcern(concern),
            read_preference=ReadPreference.PRIMARY,
            codec_options=TOLERANT,
        )
        self.finder = Finder(collection)

    def command(self, command: dict[str, Any], **options: Any) -> Any:
        self.commands.append((command, options))
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return {"cursor": {"firstBatch": answer, "id": 0}, "ok": 1.0}


def test_it_finds_one_document_or_none() -> None:
    server = Server([{"_id": 1}], [])
    assert [server.finder.find_one({"name": "k"}), server.finder.find_one({"name": "k"})] == [{"_id": 1}, None]


def test_the_options_of_the_collection_hold() -> None:
    server = Server([], concern="majority")
    server.finder.find_one({"name": "k"})
    ((command, options),) = server.commands
    assert next(iter(command)) == "find"
    assert command == {
        "find": "entries",
        "filter": {"name": "k"},
        "limit": 1,
        "singleBatch": True,
        "readConcern": {"level": "majority"},
    }
    assert options == {"read_preference": ReadPreference.PRIMARY, "codec_options": TOLERANT}


PASSING = [errors.AutoReconnect("closed"), errors.NotPrimaryError("not primary"), errors.OperationFailure("", 11600)]


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_an_error_that_may_pass_is_repeated_once(error: Exception) -> None:
    server = Server(error, [{"_id": 1}])
    assert server.finder.find_one({}) == {"_id": 1}
    server = Server(error, error)
    with pytest.raises(type(error)):
        server.finder.find_one({})


@pytest.mark.parametrize(
    "error", [errors.ServerSelectionTimeoutError("no server"), errors.OperationFailure("not authorized", 13)], ids=repr
)
def test_any_other_error_is_raised_at_once(error: Exception) -> None:
    server = Server(error)
    with pytest.raises(type(error)):
        server.finder.find_one({})
    assert len(server.commands) == 1


def test_nothing_is_repeated_where_the_url_forbids_it() -> None:
    server = Server(errors.AutoReconnect("closed"), retry_reads=False)
    with pytest.raises(errors.AutoReconnect):
        server.finder.find_one({})
    assert len(server.commands) == 1
