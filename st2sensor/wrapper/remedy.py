"""What to do about code that cannot be imported."""

from __future__ import annotations

import os
from importlib.machinery import PathFinder
from typing import Tuple

from st2sensor.wrapper import absent

PYTHON_2 = frozenset(
    [
        "__builtin__",
        "commands",
        "ConfigParser",
        "cookielib",
        "copy_reg",
        "cPickle",
        "cStringIO",
        "HTMLParser",
        "httplib",
        "md5",
        "Queue",
        "sets",
        "SocketServer",
        "StringIO",
        "thread",
        "Tkinter",
        "urllib2",
        "urlparse",
        "UserDict",
        "xmlrpclib",
    ]
)
"""Modules that only Python 2 has."""


def of_missing_module(name: str, file: str) -> Tuple[str, str]:
    """What kind of problem it is, and what to do.

    :param name: of the module; :param file: the sensor's.
    """
    top = name.partition(".")[0]
    pack = _pack_of(file)
    if absent.is_absent(name):
        return "missing-module", absent.what_to_do(name)
    if top in PYTHON_2:
        return "python-2", "that is a module of Python 2; correct the code for Python 3"
    if _is_in(top, os.path.join(pack, "lib")):
        return "common-libs", "it is in the pack's lib/; set [packs] enable_common_libs = True in st2.conf"
    if _is_in(top, os.path.join(pack, "actions", "lib")):
        problem = "it is in the pack's actions/lib/, where sensors cannot import from"
        return "actions-lib", f"{problem}; move it to lib/ or sensors/"
    if top != name and PathFinder.find_spec(top) is not None:
        problem = f"the {top} that is installed has no such module"
        return "missing-module", f"{problem}; name another version in the pack's requirements.txt"
    return "missing-module", "add it to the pack's requirements.txt and run st2ctl reload --register-setup-virtualenvs"


def of_syntax(bad_file: str, file: str) -> str:
    """:param bad_file: where the error is; :param file: the sensor's."""
    if bad_file == file or bad_file.startswith(_pack_of(file) + os.sep):
        return "correct the code"
    return "that library is not for this Python; name another version in the pack's requirements.txt"


def _pack_of(file: str) -> str:
    folder = os.path.dirname(file)
    while os.path.basename(folder) not in ("sensors", ""):
        folder = os.path.dirname(folder)
    return os.path.dirname(folder) if os.path.basename(folder) else os.path.dirname(file)


def _is_in(module: str, folder: str) -> bool:
    return os.path.exists(os.path.join(folder, f"{module}.py")) or os.path.isdir(os.path.join(folder, module))
