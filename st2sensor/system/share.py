"""Finds the installed files of the package that are not code: bundled packs, configurations, units, guides.

They are in `share/st2sensor` of the installation, in the folders that they have in a checkout: `packs`, `conf`, `docs`.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from st2sensor.errors import ConfigError

MARK = Path("conf") / "st2.conf"
"""A file that always exists."""


def share() -> Path:
    """Return the folder that holds `packs`, `conf` and `docs`: the checkout, or share/st2sensor of the installation.

    Raises ConfigError if the package was copied without them.
    """
    checkout = Path(__file__).parents[2]
    if (checkout / MARK).is_file():
        return checkout
    try:
        # pip records every file, wherever --user, --prefix or --target has put it.
        files = metadata.files("st2sensor") or ()
    except metadata.PackageNotFoundError:
        files = ()
    for file in files:
        path = Path(str(file.locate())).resolve()
        if path.parts[-4:] == ("share", "st2sensor", *MARK.parts) and path.is_file():
            return path.parents[1]
    raise ConfigError(f"{Path(__file__).parents[1]} was installed without its share/st2sensor: install it with pip")
