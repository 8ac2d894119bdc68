"""The process whose forks check sensors' code: `python tests/support/forked_checks.py FD`.

It has imported what `python st2sensor/wrapper/__main__.py --check` imports, and its forks have nothing else.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import socket
import sys
from typing import NoReturn

# An interpreter puts the folder of its script here, and the wrapper removes its own.
del sys.path[0]

WRAPPER = os.path.abspath(f"{__file__}/../../../st2sensor/wrapper/__main__.py")

spec = importlib.util.spec_from_file_location("wrapper", WRAPPER)
assert spec is not None
assert spec.loader is not None
wrapper = importlib.util.module_from_spec(spec)
spec.loader.exec_module(wrapper)

USUAL = frozenset(sys.modules)

from tests.support.forks import become, serve  # noqa: E402


def main() -> NoReturn:
    orders = socket.socket(fileno=int(sys.argv[1]))
    gc.collect()
    gc.freeze()
    order = serve(orders)
    become(order)
    sys.argv = [WRAPPER, "--check"]
    sys.dont_write_bytecode = "-B" in order["args"] or bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    for name in set(sys.modules) - USUAL:
        del sys.modules[name]
    sys.exit(wrapper.main(sys.argv[1:]))


if __name__ == "__main__":
    main()
