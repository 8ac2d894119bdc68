"""Finds packs, and the metadata files in them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from st2sensor.errors import ContentError
from st2sensor.models import Pack
from st2sensor.packs.metadata import pack_ref
from st2sensor.packs.yaml_files import METADATA
from st2sensor.system.regular_file import is_there


def find_packs(folders: Sequence[Path]) -> tuple[list[Pack], list[ContentError]]:
    """Return the packs in some folders, and an error for each folder that is not a valid pack.

    A pack in an earlier folder hides packs of the same reference in later folders, even if its pack.yaml is broken: a
    mistake must not start another pack's sensors.
    """
    found: dict[str, Pack] = {}
    broken: set[str] = set()
    errors: list[ContentError] = []
    for folder in dict.fromkeys(folders):
        try:
            paths = [path for path in _sorted(folder) if path.is_dir() and not path.name.startswith((".", "__"))]
        except ContentError as error:
            errors.append(error)
            continue
        for path in paths:
            try:
                pack = Pack(ref=_ref(path), path=path)
            except ContentError as error:
                errors.append(error)
                if os.path.lexists(path / "pack.yaml"):
                    broken.add(path.name)
                continue
            if pack.ref in broken:
                continue
            first = found.setdefault(pack.ref, pack)
            if first is not pack and first.path.parent == folder:
                problem = f"pack {pack.ref} is already in {first.path}; give one of them another ref in pack.yaml"
                errors.append(ContentError(problem, file=str(path)))
    return list(found.values()), errors


def pack_at(path: Path) -> tuple[list[Pack], list[ContentError]]:
    """Return the pack in one folder, or the error in it."""
    if not path.is_dir():
        return [], [ContentError("there is no such folder; name the folder of a pack", file=str(path))]
    try:
        return [Pack(ref=_ref(path), path=path)], []
    except ContentError as error:
        return [], [error]


def metadata_files(pack: Pack, kind: str) -> Iterable[Path]:
    """Return a pack's metadata files of one kind (`sensors`, `triggers`, `rules`), by name. Raises ContentError."""
    files = _sorted(pack.path / kind)
    return [path for path in files if path.suffix in METADATA and not path.name.startswith(".")]


def _sorted(folder: Path) -> list[Path]:
    """Return the content of a folder; nothing when it is missing. Raises ContentError."""
    try:
        if folder.is_dir():
            return sorted(folder.iterdir())
    except OSError as exception:
        raise ContentError(
            f"this folder cannot be read: {exception}; make it readable", file=str(folder)
        ) from exception
    if is_there(folder):
        raise ContentError("this is not a folder; replace or remove it", file=str(folder))
    return []


def _ref(path: Path) -> str:
    metadata = path / "pack.yaml"
    if not os.path.isfile(metadata):
        raise ContentError("the pack has no pack.yaml; add one with a name and a version", file=str(path))
    return pack_ref(metadata)
