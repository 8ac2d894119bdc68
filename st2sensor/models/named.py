"""The fields that all entities share."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Part of a pack.

    :param id: id of its document; None before it is stored.
    """

    pack: str
    name: str
    id: str | None = field(default=None, compare=False)

    @property
    def ref(self) -> str:
        """Its reference."""
        return f"{self.pack}.{self.name}"
