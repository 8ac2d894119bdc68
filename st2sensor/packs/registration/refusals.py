"""Records refused trigger types, so that messages can give the true reason instead of "not registered"."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from st2sensor.errors import ContentError
from st2sensor.models import Pack, Refusal
from st2sensor.packs import metadata
from st2sensor.packs.registration.outcome import blaming
from st2sensor.schemas import objection
from st2sensor.storage.base import Storage


class Refusals:
    """The refused trigger types of one registration."""

    def __init__(self) -> None:
        self._found: dict[str, Refusal] = {}
        self._illegible: set[tuple[str, str]] = set()
        """Packs and files whose type names cannot be read. Their known refusals are kept."""

    def add(self, pack: str, name: str, metadata_file: str, error: str) -> None:
        """Record a refused type. Only its first error is kept."""
        refusal = Refusal(pack=pack, name=name, metadata_file=metadata_file, error=objection.bounded(error))
        self._found.setdefault(refusal.ref, refusal)

    def add_file(self, pack: Pack, path: Path, kind: str, error: ContentError) -> None:
        """Record all types in a refused file."""
        metadata_file = str(path.relative_to(pack.path))
        names = metadata.type_names(path, kind)
        if names is None:
            self._illegible.add((pack.ref, metadata_file))
        for name in names or ():
            self.add(pack.ref, name, metadata_file, str(error))

    def settle(self, storage: Storage, kinds: Collection[str], present: Collection[str] | None) -> None:
        """Store the refusals, and delete those that no longer apply.

        :param kinds: the folders that were read.
        :param present: the packs that were read; None for all.
        """
        for known in storage.all(Refusal):
            was_read = known.metadata_file.partition("/")[0] in kinds and (present is None or known.pack in present)
            is_illegible = (known.pack, known.metadata_file) in self._illegible
            if was_read and not is_illegible and known.ref not in self._found:
                with suppress(ContentError), blaming(known.metadata_file):
                    storage.remove(Refusal, known.ref)
        for refusal in self._found.values():
            # No rule can request a name that cannot be stored.
            with suppress(ContentError), blaming(refusal.metadata_file):
                if storage.get(Refusal, refusal.ref) != refusal:
                    storage.put(refusal)
