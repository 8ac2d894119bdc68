"""Packs on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CORE_PACK = "core"
"""Reference of the bundled pack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """The folder of a pack, and the reference under which its content is registered."""

    ref: str
    path: Path
