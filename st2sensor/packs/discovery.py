"""Finds packs, and the metadata files in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from st2sensor.errors import ContentError
from st2sensor.models import Pack
from st2sensor.packs.files import SUFFIXES
from st2sensor.packs.metadata import pack_ref


def find_packs(folders: Sequence[Path]) -> tuple[list[Pack], list[ContentError]]:
    """The packs in some folders, and what keeps others from being one. An earlier folder's pack hides later ones."""
    found: dict[str, Pack] = {}
    errors: list[ContentError] = []
    for folder in folders:
        if not folder.is_dir():
            continue
        for path in sorted(folder.iterdir()):
            if not path.is_dir() or path.name.startswith((".", "__")):
                continue
            try:
                pack = Pack(ref=_ref(path), path=path)
            except ContentError as error:
                errors.append(error)
                continue
            first = found.setdefault(pack.ref, pack)
            if first is not pack and first.path.parent == folder:
                problem = f"pack {pack.ref} is already in {first.path}; give one of them another ref in pack.yaml"
                errors.append(ContentError(problem, file=str(path)))
    return list(found.values()), errors


def metadata_files(pack: Pack, kind: str) -> Iterable[Path]:
    """The metadata files of one kind (`sensors`, `triggers`, `rules`) directly in a pack, by name."""
    folder = pack.path / kind
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and not path.name.startswith("."))


def _ref(path: Path) -> str:
    metadata = path / "pack.yaml"
    if not metadata.is_file():
        raise ContentError("the pack has no pack.yaml; add one with a name and a version", file=str(path))
    return pack_ref(metadata)
