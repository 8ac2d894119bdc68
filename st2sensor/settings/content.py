"""Settings of packs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """`[content]`, `[packs]` and `[system] base_path`.

    :param pack_paths: folders that hold packs, in order; a pack hides packs of the same name in later folders.
    :param configs_path: folder of the packs' configuration files, `<pack>.yaml`.
    :param virtualenvs_path: folder of the packs' virtualenvs.
    :param overrides_path: folder of the operators' overrides, `_global.yaml` and `<pack>.yaml`.
    :param instances_path: folder of the files that list instances of sensors, `<pack>.yaml`; None if there is none.
    :param enable_common_libs: whether a pack's lib/ is importable.
    :param shadow_stackstorm: whether our modules hide StackStorm's own modules, if a pack's interpreter can import
        those.
    :param core_sensors: enabled sensors of the bundled pack `core`, named by their metadata files without suffix.
    """

    pack_paths: tuple[Path, ...]
    configs_path: Path
    virtualenvs_path: Path
    overrides_path: Path
    instances_path: Path | None = None
    enable_common_libs: bool = False
    shadow_stackstorm: bool = False
    core_sensors: tuple[str, ...] = ()
