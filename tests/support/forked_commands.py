"""The process whose forks are the product's commands: `python -m tests.support.forked_commands FD`."""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import os
import pkgutil
import socket
import sys
import threading
import traceback
from typing import NoReturn

import st2sensor
from st2sensor.cli.__main__ import PROGRAMS
from st2sensor.packs.code import check
from st2sensor.system.lazy import resolve
from tests.support.check_client import CheckClient
from tests.support.forks import become, serve

NOT_IMPORTED = ("st2sensor.compat", "st2sensor.testing", "st2sensor.cli.templates", "st2sensor.core_pack.sensors")
"""Modules that are not part of any command."""

IMPORTED_LATE = ("click._textwrap", "rich._emoji_codes")
"""Modules that many commands import while they run."""


def end_interpreter(code: int) -> NoReturn:
    """End as an interpreter does, but do not tear down the modules that the parent had imported."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def import_all() -> None:
    for module in pkgutil.walk_packages(st2sensor.__path__, "st2sensor."):
        if not module.name.startswith(NOT_IMPORTED) and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in IMPORTED_LATE:
        importlib.import_module(name)


def main() -> None:
    orders = socket.socket(fileno=int(sys.argv[1]))
    import_all()
    checks = CheckClient()
    check._run = checks.run
    gc.collect()
    gc.freeze()
    try:
        order = serve(orders)
    except SystemExit:
        checks.close()
        raise
    code = 1
    try:
        become(order)
        program, *arguments = order["args"]
        code = resolve(PROGRAMS[program])(arguments)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 (as an interpreter would end)
        traceback.print_exc()
    finally:
        end_interpreter(code)


if __name__ == "__main__":
    main()
