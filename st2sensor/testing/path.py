"""The import path for the tests of a pack: its modules are importable as in a container."""

from __future__ import annotations

import os
import sys
from typing import Union

from st2sensor.wrapper.loading import absent
from st2sensor.wrapper.loading.absent import COMPAT


def use_pack(folder: Union[str, os.PathLike[str]]) -> None:
    """Put a pack's lib/ and sensors/ first on the path, and the stand-ins for StackStorm's modules last.

    If StackStorm is installed in the interpreter, it takes precedence over the stand-ins. Raises NotADirectoryError if
    the folder has no sensors/.

    :param folder: the pack's folder, which holds pack.yaml.
    """
    pack = os.path.abspath(folder)
    sensors, lib = os.path.join(pack, "sensors"), os.path.join(pack, "lib")
    if not os.path.isdir(sensors):
        raise NotADirectoryError(f"{sensors} is not a folder; name the folder that holds pack.yaml")
    wanted = [path for path in (lib, sensors) if os.path.isdir(path) and path not in sys.path]
    sys.path[:0] = wanted
    if COMPAT not in sys.path:
        sys.path.append(COMPAT)
    absent.install()
