"""Turns MongoDB's errors into ours, which show whether a retry may help, and whether the operation may have been
done."""

from __future__ import annotations

from typing import Any

from bson.errors import BSONError
from pymongo import errors

from st2sensor.errors import StorageError, StorageUnavailable

PASSING = frozenset(
    {
        *(6, 7, 89, 9001),  # Unreachable or unknown host, network timeout, socket error.
        *(91, 11600),  # The server is shutting down.
        *(189, 10058, 10107, 11602, 13435, 13436),  # The primary has changed, or there is none.
        *(50, 202, 262, 11601, 175, 237, 43),  # The operation timed out, was interrupted, or its cursor is gone.
        *(24, 46, 112, 251),  # Locks and conflicting writes.
        *(63, 133, 134, 150, 13388, 234),  # Shards are moving, or members are catching up.
        *(64, 100),  # Not enough members exist, or have confirmed the write.
    }
)
"""Codes of errors that pass by themselves."""

NOT_SENT = (errors.ServerSelectionTimeoutError, errors.WaitQueueTimeoutError)
"""Errors that occur before a request is sent: no server was found, or no connection was free."""

FOREIGN = (errors.PyMongoError, BSONError, OverflowError, UnicodeError, RecursionError)
"""Errors that the client raises. The last four mean that BSON cannot express a value."""


def as_ours(exception: Exception, address: str) -> StorageError:
    """Return our error for one of the client's errors.

    :param address: the database's URL, without a password.
    """
    reason = reason_of(exception)
    if isinstance(exception, (errors.ConnectionFailure, errors.ProtocolError, errors.InvalidOperation)):
        return StorageUnavailable(
            f"cannot reach MongoDB at {address}: {reason}; "
            "is it running, and are [database] connection or host and port right?",
            uncertain=not isinstance(exception, NOT_SENT),
        )
    if is_passing(exception):
        return StorageUnavailable(
            f"MongoDB at {address} cannot do it now: {reason}; is a majority of its members running?", uncertain=True
        )
    if isinstance(exception, errors.PyMongoError):
        return StorageError(f"MongoDB at {address} refused: {reason}")
    return StorageError(f"MongoDB cannot store it: {reason}")


def is_passing(exception: Exception) -> bool:
    """Return whether an error passes by itself. The operation may have been carried out, or may still be."""
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
    """Describe an error in one line, without any content of documents."""
    if isinstance(exception, RecursionError):
        return "it is nested too deeply"
    if isinstance(exception, UnicodeEncodeError):
        return f"UTF-8 cannot encode its text: {exception.reason}"
    if isinstance(exception, errors.DuplicateKeyError):
        return _duplicate(exception.details or {})
    # Server selection errors end with timeouts and the whole topology, and encoding errors with the value.
    lines = str(exception).splitlines() or [type(exception).__name__]
    text = lines[0].split(" (configured timeouts")[0].split(", Timeout: ")[0].split(", full error:")[0]
    return text.split("cannot encode object:")[0] + "BSON cannot encode a value" if "cannot encode" in text else text


def _duplicate(details: Any) -> str:
    """Describe a duplicate key without its values, which the server's message quotes."""
    fields = details.get("keyPattern") if isinstance(details, dict) else None
    return f"another document has the same {' and '.join(fields)}" if fields else "another document has the same key"
