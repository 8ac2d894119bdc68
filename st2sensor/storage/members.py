"""Converts members that share sensors, and leases, to documents and back. Reading raises Misfit for a wrong field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from st2sensor.models import Lease, Member
from st2sensor.storage.fields import Document, flag, number, optional_text, text, texts, whole

MEMBERS = "st2sensor_members"
"""Collection of the containers that share sensors, by id."""

LEASES = "st2sensor_leases"
"""Collection of the leases, with their batches, by the sensor's reference."""

NODES = "st2sensor_nodes"
"""Collection of operators' settings for nodes, by name."""


def member_document(member: Member) -> Document:
    """Return a member's document, with its id."""
    fields = asdict(member)
    return {"_id": fields.pop("id"), **fields, "labels": list(member.labels)}


def member(document: Mapping[str, Any]) -> Member:
    """Return the member in a document. Fields that a later version has added are ignored."""
    return Member(
        id=text(document, "_id"),
        node=text(document, "node"),
        host=optional_text(document, "host") or "",
        pid=whole(document, "pid") or 0,
        version=optional_text(document, "version") or "",
        started=number(document, "started") or 0.0,
        seen=number(document, "seen") or 0.0,
        capacity=_or(number(document, "capacity", least=0), 1.0),
        labels=texts(document, "labels"),
        http=optional_text(document, "http") or "",
        lease=_or(number(document, "lease", above=0), 10.0),
        counter=whole(document, "counter") or 0,
        token=optional_text(document, "token") or "",
        sensors=whole(document, "sensors") or 0,
        handing=flag(document, "handing", False),
        leaving=flag(document, "leaving", False),
        dead=flag(document, "dead", False),
    )


def lease(document: Mapping[str, Any]) -> Lease:
    """Return the lease in a document."""
    return Lease(
        sensor=text(document, "_id"),
        holder=optional_text(document, "holder"),
        fence=whole(document, "fence") or 0,
        has_batches=bool(document.get("batches")),
    )


def drained_node(document: Mapping[str, Any]) -> str | None:
    """Return the name of the node in a document if it is drained, else None."""
    return text(document, "_id") if flag(document, "drained", False) else None


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
