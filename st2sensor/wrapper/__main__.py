"""Entry of the wrapper: `python -m st2sensor.wrapper`, or this file as a script in an interpreter without st2sensor."""

from __future__ import annotations

import os
import sys
import warnings

HERE = os.path.dirname(os.path.abspath(__file__))


def _leave_own_folder() -> None:
    """Remove this script's folder from the path, where its modules would hide others of the same name."""
    if sys.path and os.path.abspath(sys.path[0]) == HERE:
        del sys.path[0]


def _patch_with_eventlet() -> None:
    """Patch before anything else is imported: modules that have already been imported keep the original functions.

    ST2SENSOR_EVENTLET holds a Python version and folders to search after this interpreter's own: the container's
    packages, which fit only that version.
    """
    wanted = os.environ.get("ST2SENSOR_EVENTLET")
    if wanted is None or "--check" in sys.argv:
        return
    version, *folders = wanted.split(os.pathsep)
    path = list(sys.path)
    if version == "{}.{}".format(*sys.version_info):
        sys.path += folders
    try:
        with warnings.catch_warnings():
            # eventlet's deprecation warning concerns the authors of packs.
            warnings.simplefilter("ignore")
            __import__("eventlet").monkey_patch()
    except ImportError as error:
        sys.stderr.write(f"cannot patch with eventlet: {error}; add it to the pack's requirements.txt\n")
    sys.path[:] = path


def _find_st2sensor() -> None:
    """Make `st2sensor` importable when this file was started as a script, but no other module of its folder."""
    if "st2sensor" in sys.modules:
        return
    package = os.path.dirname(HERE)
    spec = importlib.util.spec_from_file_location(
        "st2sensor", os.path.join(package, "__init__.py"), submodule_search_locations=[package]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["st2sensor"] = module
    spec.loader.exec_module(module)


_leave_own_folder()
_patch_with_eventlet()

import importlib.util  # noqa: E402

_find_st2sensor()

from st2sensor.wrapper.main import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
