"""Turns payloads, traces and pages into the form in which a sensor sends them."""

from __future__ import annotations

from typing import Any, Dict, Optional, Sequence, Tuple

from st2sensor.portable.payload import TooDeep, pack
from st2sensor.portable.rpc import MAX_BODIES, MAX_REQUEST_BYTES, MAX_REQUEST_TOTAL_BYTES, NotJson, body

LARGEST = MAX_REQUEST_TOTAL_BYTES - MAX_REQUEST_BYTES
"""Maximum number of bytes of a payload in a request. The dead letter of a larger one has only the reason."""

NULL = b"null"


def body_of(payload: Any) -> Tuple[bytes, bool, Optional[str]]:
    """Return a payload's JSON, whether it is tagged because it contains types that JSON lacks, and why it is withheld,
    if it is.

    A withheld payload is null. Raises TypeError for a payload that JSON cannot represent.
    """
    sent, tagged = _plain(payload), False
    if sent is None:
        sent, tagged = _packed(payload), True
    if sent is None:
        return NULL, False, "is nested too deeply to be sent, or has an integer of too many digits"
    if len(sent) > LARGEST:
        return NULL, False, f"has {len(sent):,} bytes, too many to be sent"
    return sent, tagged, None


def _plain(payload: Any) -> Optional[bytes]:
    """Return a payload as JSON, or None when it contains types that JSON lacks."""
    try:
        return body(payload)
    except NotJson:
        # Return first and pack afterwards: a sensor's author should not see an error of the packing as a second error.
        return None


def _packed(payload: Any) -> Optional[bytes]:
    """Return a payload as tagged JSON, or None if it cannot be sent. Raises TypeError for a type that has no tag."""
    try:
        return body(pack(payload))
    except (TooDeep, NotJson):
        return None


def check_total(payloads: Sequence[bytes]) -> None:
    """Raise ValueError if payloads are too many or too large for one request."""
    size = sum(map(len, payloads))
    if len(payloads) > MAX_BODIES or size > LARGEST:
        raise ValueError(
            f"{len(payloads)} triggers with {size:,} bytes of payloads are too many for one call; the limits are "
            f"{MAX_BODIES:,} triggers and {LARGEST:,} bytes: dispatch them in parts"
        )


def page(limit: Optional[int], offset: Optional[int]) -> Tuple[Optional[int], int]:
    """Return the limit and the offset of a list, given a sensor's arguments. None as a limit stands for no limit.

    As in StackStorm, -1 and 0 are no limits, and no offset is 0.
    """
    return (None if limit in (0, -1) else limit), (0 if offset is None else offset)


def tagged(trace_tag: Optional[str]) -> Optional[Dict[str, Any]]:
    return {"id": None, "tag": trace_tag} if trace_tag else None


def trace(context: Any) -> Dict[str, Any]:
    fields = context if isinstance(context, dict) else vars(context)
    return {"id": fields.get("id_"), "tag": fields.get("trace_tag")}
