"""MongoDB's errors as ours: which of them say that it may go well later, and that an operation may have been done."""

from __future__ import annotations

from typing import Any

from bson.errors import BSONError
from pymongo import errors

from st2sensor.errors import StorageError, StorageUnavailable

PASSING = frozenset(
    {
        *(6, 7, 89, 9001),  # A host that cannot be reached or found, a network timeout, a socket.
        *(91, 11600),  # It shuts down.
        *(189, 10058, 10107, 11602, 13435, 13436),  # Another member has become the primary, or there is none.
        *(50, 202, 262, 11601, 175, 237, 43),  # Out of time, interrupted, or its cursor is gone.
        *(24, 46, 112, 251),  # Locks, and writes in each other's way.
        *(63, 133, 134, 150, 13388, 234),  # Shards that move, members that catch up.
        *(64, 100),  # Not enough members have confirmed it, or are there.
    }
)
"""Codes of errors that end by themselves."""

NOT_SENT = (errors.ServerSelectionTimeoutError, errors.WaitQueueTimeoutError)
"""No server was found, or no connection was free."""

FOREIGN = (errors.PyMongoError, BSONError, OverflowError, UnicodeError, RecursionError)
"""What the client raises; the last four for what BSON has no form for."""


def as_ours(exception: Exception, address: str) -> StorageError:
    """:param address: of the database, without password."""
    reason = reason_of(exception)
    if isinstance(exception, (errors.ConnectionFailure, errors.ProtocolError, errors.InvalidOperation)):
        return StorageUnavailable(
            f"cannot reach MongoDB at {address}: {reason}; "
            "is it running, and are [database] connection or host and port right?",
            uncertain=not isinstance(exception, NOT_SENT),
        )
    if is_passing(exception):
        return StorageUnavailable(
            f"MongoDB at {address} cannot do it now: {reason}; does a majority of its members run?", uncertain=True
        )
    if isinstance(exception, errors.PyMongoError):
        return StorageError(f"MongoDB at {address} refused: {reason}")
    return StorageError(f"MongoDB cannot store it: {reason}")


def is_passing(exception: Exception) -> bool:
    """Whether an operation failed for a reason that ends by itself. It may have been carried out, or may be yet."""
    if isinstance(exception, (errors.ConnectionFailure, errors.ExecutionTimeout, errors.WriteConcernError)):
        return True
    if not isinstance(exception, errors.OperationFailure):
        return False
    details = exception.details or {}
    if exception.code in PASSING or exception.has_error_label("RetryableWriteError"):
        return True
    if details.get("writeConcernError") or details.get("writeConcernErrors"):
        return True
    failed = details.get("writeErrors") or []
    return bool(failed) and all(isinstance(error, dict) and error.get("code") in PASSING for error in failed)


def reason_of(exception: Exception) -> str:
    """One line, without what the documents hold."""
    if isinstance(exception, RecursionError):
        return "it is nested too deeply"
    if isinstance(exception, UnicodeEncodeError):
        return f"its text has no form in UTF-8: {exception.reason}"
    if isinstance(exception, errors.DuplicateKeyError):
        return _duplicate(exception.details or {})
    # Server selection errors go on with the timeouts and a dump of the whole topology, those of values with the value.
    lines = str(exception).splitlines() or [type(exception).__name__]
    text = lines[0].split(" (configured timeouts")[0].split(", Timeout: ")[0].split(", full error:")[0]
    return text.split("cannot encode object:")[0] + "a value has no form in BSON" if "cannot encode" in text else text


def _duplicate(details: Any) -> str:
    """The server's message quotes the values."""
    fields = details.get("keyPattern") if isinstance(details, dict) else None
    return f"another document has the same {' and '.join(fields)}" if fields else "another document has the same key"
