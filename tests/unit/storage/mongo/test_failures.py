"""MongoDB's errors that may pass by themselves, and that leave open whether an operation was carried out."""

from __future__ import annotations

from typing import Any

import pytest
from bson.errors import InvalidDocument
from pymongo import errors

from st2sensor.errors import StorageUnavailable
from st2sensor.storage.mongo.failures import as_ours

LABELLED = {"errorLabels": ["RetryableWriteError"]}
UNCONFIRMED = {"writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}}

UNKNOWN = [
    errors.AutoReconnect("connection closed"),
    errors.NetworkTimeout("timed out"),
    errors.NotPrimaryError("not primary"),
    errors.ExecutionTimeout("operation exceeded time limit", 50),
    errors.WTimeoutError("waiting for replication timed out", 64),
    errors.WriteConcernError("Not enough data-bearing nodes", 100),
    errors.CursorNotFound("cursor not found", 43),
    errors.BulkWriteError({"writeErrors": [], "writeConcernErrors": [{"code": 64}]}),
    errors.BulkWriteError({"writeErrors": [{"code": 11602}, {"code": 189}], "writeConcernErrors": []}),
    errors.OperationFailure("anything", 1, LABELLED),
    errors.OperationFailure("anything", 1, UNCONFIRMED),
    errors.InvalidOperation("Cannot use MongoClient after close"),
    *[errors.OperationFailure("", code) for code in (6, 7, 89, 91, 112, 134, 189, 262, 10107, 11600, 11601, 11602)],
    *[errors.OperationFailure("", code) for code in (9001, 13435, 13436)],
]

CERTAIN = [errors.ServerSelectionTimeoutError("no servers"), errors.WaitQueueTimeoutError("no connection")]

REFUSED: list[Exception] = [
    errors.OperationFailure("not authorized", 13),
    errors.OperationFailure("Authentication failed", 18),
    errors.DuplicateKeyError("E11000", 11000),
    errors.WriteError("Cannot apply $inc", 14),
    errors.BulkWriteError({"writeErrors": [{"code": 11000}, {"code": 189}], "writeConcernErrors": []}),
    errors.DocumentTooLarge("too large"),
    OverflowError("MongoDB can only handle up to 8-byte ints"),
    RecursionError("maximum recursion depth exceeded"),
]


@pytest.mark.parametrize("error", UNKNOWN, ids=repr)
def test_what_may_pass_leaves_the_outcome_open(error: Exception) -> None:
    ours = as_ours(error, "mongodb://h")
    assert isinstance(ours, StorageUnavailable)
    assert ours.uncertain


@pytest.mark.parametrize("error", CERTAIN, ids=repr)
def test_what_was_never_sent_was_not_carried_out(error: Exception) -> None:
    ours = as_ours(error, "mongodb://h")
    assert isinstance(ours, StorageUnavailable)
    assert not ours.uncertain


@pytest.mark.parametrize("error", REFUSED, ids=repr)
def test_what_will_never_go_well_is_a_refusal(error: Exception) -> None:
    assert not isinstance(as_ours(error, "mongodb://h"), StorageUnavailable)


def test_no_message_quotes_a_value() -> None:
    duplicate: dict[str, Any] = {"keyPattern": {"name": 1}, "keyValue": {"name": "hunter2"}}
    hidden = [
        errors.DuplicateKeyError("E11000 duplicate key error: { name: 'hunter2' }", 11000, duplicate),
        InvalidDocument("Invalid document: cannot encode object: 'hunter2', of type: <class 'object'>"),
        errors.WriteError("bad, full error: {'keyValue': 'hunter2'}", 14),
    ]
    for error in hidden:
        assert "hunter2" not in str(as_ours(error, "mongodb://h"))
    with pytest.raises(UnicodeEncodeError) as raised:
        "hunter2\ud83d".encode()
    assert str(as_ours(raised.value, "")) == (
        "MongoDB cannot store it: UTF-8 cannot encode its text: surrogates not allowed"
    )
