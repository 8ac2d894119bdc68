"""Remedies for code that cannot be imported."""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import suppress
from importlib.machinery import PathFinder
from typing import Dict, List, Mapping, Tuple

from st2sensor.wrapper.loading import absent

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
"""Modules that exist only in Python 2."""

LEFT_PYTHON = frozenset(
    [
        *("asynchat", "asyncore", "distutils", "imp", "smtpd"),
        *("aifc", "audioop", "cgi", "cgitb", "chunk", "crypt", "imghdr", "mailcap", "msilib", "nis", "nntplib"),
        *("ossaudiodev", "pipes", "sndhdr", "spwd", "sunau", "telnetlib", "uu", "xdrlib", "lib2to3"),
    ]
)
"""Modules that Python 3.12 and 3.13 have removed from the standard library."""

NAME = re.compile(r"(?:.*[#&]egg=|\s*)([A-Za-z0-9][A-Za-z0-9._-]*)(?=\s*(?:$|[\[<>=!~;@#&,(]))")
"""The name in a line of requirements.txt. Options, and addresses without a name, do not match."""

REINSTALL = "reinstall all requirements with: st2ctl reload --register-recreate-virtualenvs"


def of_missing_module(name: str, file: str) -> Tuple[str, str]:
    """Return the kind of problem, and what to do.

    :param name: the missing module; :param file: the sensor's file.
    """
    top = name.partition(".")[0]
    pack = pack_of(file)
    if absent.is_absent(name):
        return "missing-module", absent.what_to_do(name)
    if top in PYTHON_2:
        return "python-2", "that is a Python 2 module; change the code to work with Python 3"
    lib = os.path.join(pack, "lib")
    if _is_in(top, lib) and lib not in sys.path:
        return "common-libs", "it is in the pack's lib/; set [packs] enable_common_libs = True in st2.conf"
    if _is_in(top, os.path.join(pack, "actions", "lib")):
        problem = "it is in the pack's actions/lib/, from which sensors cannot import"
        return "actions-lib", f"{problem}; move it to lib/ or sensors/"
    if top in LEFT_PYTHON:
        return "missing-module", "newer versions of Python no longer have it; change the code to work without it"
    if top != name and (top in sys.builtin_module_names or PathFinder.find_spec(top) is not None):
        return "missing-module", _of_missing_part(top, pack)
    return "missing-module", _of_missing_package(top, pack)


def _of_missing_part(top: str, pack: str) -> str:
    """Return what to do about a module that the package `top` lacks."""
    place = _place_of(top)
    if place.startswith(pack + os.sep):
        return f"the pack's own {top} has no such module; correct the import, or add the module"
    if top in sys.builtin_module_names or _is_pythons(place):
        return f"Python's own {top} has no such module; correct the code"
    return f"the installed {top} has no such module; require another version of it in the pack's requirements.txt"


def _of_missing_package(top: str, pack: str) -> str:
    """Return what to do about a package that is not installed at all."""
    failure = _failure()
    if failure:
        return f"the pack's requirements could not be installed: {failure}"
    required = _required(pack)
    if _plain(top) in required:
        return f"it is in the pack's requirements.txt but is not installed; {REINSTALL}"
    lacking = ", ".join(_not_installed(required))
    if lacking:
        # A module and its package may differ in name, as yaml and PyYAML do.
        return f"it may be in a package of the pack's requirements.txt that is not installed: {lacking}; {REINSTALL}"
    return "add it to the pack's requirements.txt and run st2ctl reload --register-setup-virtualenvs"


def _failure() -> str:
    """Return why the last installation of this virtualenv's requirements failed; empty if it did not fail."""
    home, name = os.path.split(sys.prefix)
    try:
        with open(os.path.join(home, f".{name}.failure"), encoding="utf-8") as note:
            message = json.load(note)["message"]
    except (OSError, ValueError, TypeError, KeyError):
        return ""
    return str(message)


def _required(pack: str) -> Dict[str, str]:
    """Return the lines of a pack's requirements.txt that name a package, by the canonical form of the name."""
    try:
        with open(os.path.join(pack, "requirements.txt"), encoding="utf-8") as file:
            lines = file.read().splitlines()
    except (OSError, ValueError):
        return {}
    return {_plain(found[1]): found.string for found in map(NAME.match, lines) if found is not None}


def _not_installed(required: Mapping[str, str]) -> List[str]:
    """Return the required packages that are not installed. Those with a condition are omitted."""
    installed = set()
    for folder in sys.path:
        with suppress(OSError):
            for entry in os.listdir(folder):
                name, suffix = os.path.splitext(entry)
                if suffix in (".dist-info", ".egg-info", ".egg-link"):
                    installed.add(_plain(name.partition("-")[0]))
    return [name for name, line in required.items() if name not in installed and ";" not in line]


def _plain(name: str) -> str:
    """Return the canonical form of a package's name."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def _place_of(top: str) -> str:
    """Return the file or folder of an installed package; empty if it has none."""
    spec = PathFinder.find_spec(top)
    if spec is None:
        return ""
    return str(spec.origin or next(iter(spec.submodule_search_locations or []), ""))


def _is_pythons(place: str) -> bool:
    """Return whether a file or folder belongs to the standard library."""
    folder = os.path.dirname(os.__file__)
    return place.startswith(folder + os.sep) and "-packages" not in place[len(folder) :]


def of_syntax(bad_file: str, file: str) -> str:
    """Return what to do about a syntax error.

    :param bad_file: the file with the error; :param file: the sensor's file.
    """
    if bad_file == file or bad_file.startswith(pack_of(file) + os.sep):
        return "correct the code"
    return (
        "that library does not support this version of Python; require another version of it in the pack's "
        "requirements.txt"
    )


def pack_of(file: str) -> str:
    folder = os.path.dirname(file)
    while os.path.basename(folder) not in ("sensors", ""):
        folder = os.path.dirname(folder)
    return os.path.dirname(folder) if os.path.basename(folder) else os.path.dirname(file)


def _is_in(module: str, folder: str) -> bool:
    return os.path.exists(os.path.join(folder, f"{module}.py")) or os.path.isdir(os.path.join(folder, module))
