"""Entry of the wrapper: `python -m st2sensor.wrapper`, or this file as a script in an interpreter without st2sensor."""

from __future__ import annotations

import importlib.util
import os
import sys


def _find_st2sensor() -> None:
    """Make `st2sensor` importable when this file was started as a script, and nothing beside it."""
    if "st2sensor" in sys.modules:
        return
    here = os.path.dirname(os.path.abspath(__file__))
    # A script's own folder comes first on the path; modules in it would hide others of the same name.
    if sys.path and os.path.abspath(sys.path[0]) == here:
        del sys.path[0]
    package = os.path.dirname(here)
    spec = importlib.util.spec_from_file_location(
        "st2sensor", os.path.join(package, "__init__.py"), submodule_search_locations=[package]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["st2sensor"] = module
    spec.loader.exec_module(module)


_find_st2sensor()

from st2sensor.wrapper.main import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
