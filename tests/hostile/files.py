"""Hostile files and documents: packs, configurations, the state directory, the database."""

from __future__ import annotations

import os
import shutil
from typing import Any

import bson
import pymongo

from tests.hostile.case import Case, running
from tests.support.workspace import Container, Workspace

ODD: list[Any] = [
    bson.ObjectId(),
    bson.DBRef("collection", bson.ObjectId()),
    bson.Decimal128("1.5"),
    bson.Binary(b"\xff\x00"),
    bson.Regex("^a"),
    bson.MinKey(),
    bson.Timestamp(1, 1),
    bson.Int64(2**62),
    float("nan"),
    [1],
    {"$ref": "x", "$id": 1},
]


def odd_documents(workspace: Workspace, container: Container | None = None) -> None:  # noqa: ARG001
    """Add to each collection documents with odd values in each field that its other documents have."""
    fields = ["name", "pack", "ref", "uid", "type", "parameters", "payload_schema", "enabled", "value", "trigger_types"]
    with pymongo.MongoClient[dict[str, Any]](workspace.database) as client:
        database = client[workspace.name]
        for collection in ("sensor_type_d_b", "trigger_type_d_b", "trigger_d_b", "key_value_pair_d_b"):
            documents = [
                {
                    "name": f"odd{n}_{field}",
                    "pack": "odd",
                    "ref": f"odd.odd{n}_{field}",
                    "uid": f"odd{n}{field}",
                    field: value,
                }
                for n, value in enumerate(ODD)
                for field in fields
            ]
            database[collection].insert_many(documents, ordered=False)


def damage(pack_file: str, content: bytes) -> Any:
    def write(workspace: Workspace) -> None:
        path = os.fsencode(workspace.add_pack("damaged")) + b"/" + os.fsencode(pack_file)
        with open(path, "wb") as file:
            file.write(content)

    return write


def template(workspace: Workspace) -> None:
    """Write a configuration that would fill the memory."""
    pack = workspace.add_pack("hostile")
    (pack / "config.schema.yaml").write_text("s: {type: string}\n")
    (workspace.folder / "configs").mkdir(exist_ok=True)
    (workspace.folder / "configs" / "hostile.yaml").write_text("s: \"{{ 'x' * 10 ** 10 }}\"\n")


def bomb() -> bytes:
    """Return YAML whose aliases multiply."""
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    return ("\n".join(lines) + "\n").encode()


def remove(pattern: str) -> Any:
    def act(workspace: Workspace, container: Container) -> None:  # noqa: ARG001
        for path in list(workspace.state.rglob(pattern)):
            path.unlink()

    return act


def close_state(workspace: Workspace, container: Container) -> None:  # noqa: ARG001
    for path in workspace.state.rglob("*"):
        path.chmod(0)


def vanish(workspace: Workspace, container: Container) -> None:  # noqa: ARG001
    shutil.rmtree(workspace.packs / "hostile")


def restart(workspace: Workspace) -> None:
    workspace.run("st2sensor", "--config-file", str(workspace.config), "restart", "hostile.Hostile")


def pipe(workspace: Workspace, container: Container) -> None:  # noqa: ARG001
    """Put a pipe in the place of the sensor's code, which is read at each start."""
    code = workspace.packs / "hostile" / "sensors" / "hostile.py"
    code.unlink()
    os.mkfifo(code)
    restart(workspace)


def endless(workspace: Workspace, container: Container) -> None:  # noqa: ARG001
    """Write a pattern for keys that takes forever, and a key for it."""
    schema = "a: {type: object, patternProperties: {'^(a+)+$': {type: string}}}\n"
    (workspace.packs / "hostile" / "config.schema.yaml").write_text(schema)
    (workspace.folder / "configs").mkdir(exist_ok=True)
    (workspace.folder / "configs" / "hostile.yaml").write_text(f"a: {{{'a' * 60}!: x}}\n")
    restart(workspace)


WAITING = running("time.sleep(1000)")

FILES = [
    Case(name="odd documents before the start", before=odd_documents, quick=True),
    Case(name="odd documents while it runs", act=odd_documents),
    Case(name="a template that fills the memory", code=WAITING, before=template, said="hostile"),
    Case(name="YAML that multiplies", before=damage("pack.yaml", bomb()), said="damaged"),
    Case(name="a file name that is not text", before=damage("sensors/\udce9.yaml", b"class_name: X\n"), quick=True),
    Case(name="metadata that is not text", before=damage("sensors/x.yaml", b"\xff\xfe\x00"), said="damaged"),
    Case(name="the outbox is deleted", act=remove("outbox.db"), said="outbox"),
    Case(name="the sockets are deleted", act=remove("*.sock")),
    Case(name="nobody may read the state directory's files", act=close_state),
    Case(name="its pack vanishes", code=WAITING, act=vanish),
    Case(name="its code becomes a pipe", code=WAITING, act=pipe, said="there is no such Python file"),
    Case(name="a pattern for keys that takes forever", code=WAITING, act=endless, said="the search for keys took more"),
]
