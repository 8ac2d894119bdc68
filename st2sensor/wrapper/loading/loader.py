"""Loads a sensor's class from its file: the only place that executes pack code on import."""

from __future__ import annotations

import importlib
import inspect
import marshal
import os
import struct
import sys
import traceback
from contextlib import suppress
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import MAGIC_NUMBER
from types import CodeType, ModuleType
from typing import Any, Dict, Iterable, List, Optional, Tuple, Type

from st2sensor.wrapper.loading import absent, bytecode, remedy
from st2sensor.wrapper.loading.absent import COMPAT
from st2sensor.wrapper.stop import StopSensor

BASE_MODULES = ("st2sensor.sensor", "st2reactor.sensor.base")
"""The modules of BASES: ours, and StackStorm's own, which a pack's interpreter may have."""

BASES = ("BaseSensor", "Sensor", "PollingSensor")
"""The base classes of sensors. StackStorm's PollingSensor does not derive from its Sensor."""

METHODS = ("setup", "run", "cleanup", "add_trigger", "update_trigger", "remove_trigger")
"""A class that defines all of them is a sensor even if it derives from none of BASES, as in StackStorm."""


class LoadError(Exception):
    """The class cannot be loaded.

    :param kind: a short name of the problem, for `st2sensor validate`.
    :param in_metadata: whether the remedy is in the metadata file rather than in the code.
    """

    def __init__(
        self, message: str, *, kind: str, file: str, line: Optional[int] = None, in_metadata: bool = False
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.file = file
        self.line = line
        self.in_metadata = in_metadata


def load_class(code: Dict[str, Any]) -> Type[Any]:
    """Load the class that the container's description `code` names. Raises LoadError."""
    extend_path(code)
    bytecode.load_from([*code["library_paths"], *code["search_paths"]])
    file, class_name = code["file"], code["class_name"]
    module = _load_module(file)
    found = getattr(module, class_name, None)
    if not inspect.isclass(found):
        classes = ", ".join(sorted(_sensor_classes(module))) or "none that derives from Sensor or PollingSensor"
        raise LoadError(
            f"class_name: there is no class {class_name} in {file}, which has {classes}; correct class_name",
            kind="class-name",
            file=file,
            in_metadata=True,
        )
    if not derives(found, *BASES):
        if all(callable(getattr(found, name, None)) for name in METHODS):
            return found
        message = f"class {class_name} does not derive from Sensor or PollingSensor of st2reactor.sensor.base"
        raise LoadError(f"{message}; derive it from one of them", kind="base-class", file=file, line=_line_of(found))
    without_run = () if hasattr(found, "run") else ("run",)
    missing = ", ".join(sorted({*getattr(found, "__abstractmethods__", ()), *without_run}))
    if missing:
        message = f"class {class_name} lacks {missing}; define every method of its base"
        raise LoadError(message, kind="abstract-methods", file=file, line=_line_of(found))
    return found


def derives(found: type, *bases: str) -> bool:
    """Return whether a class derives from one of these BASES, ours or StackStorm's."""
    return any(parent.__name__ in bases and parent.__module__ in BASE_MODULES for parent in found.__mro__)


def extend_path(code: Dict[str, Any]) -> None:
    """Make the pack's modules, StackStorm's names, and the container's libraries importable, in this order.

    The pack's lib/ precedes even the standard library, because StackStorm names it in PYTHONPATH.
    If StackStorm is installed in the interpreter, it precedes our names for it, unless the container says otherwise.
    """
    if code["shadow_stackstorm"]:
        sys.path.insert(0, COMPAT)
    elif PathFinder.find_spec("st2reactor", sys.path) is not None:
        for name in [name for name in sys.modules if name.partition(".")[0] == "st2reactor"]:
            del sys.modules[name]
    sys.path[:0] = [path for path in code["library_paths"] if path not in sys.path]
    same_version = list(sys.version_info[:2]) == code["fallback_version"]
    for path in [*code["search_paths"], COMPAT, *(code["fallback_paths"] if same_version else [])]:
        if path not in sys.path:
            sys.path.append(path)
    absent.install()


def preload(usual: Iterable[str]) -> None:
    """Import the module that every sensor imports, from the place where a sensor finds it, and others.

    The path stays as it is. A module that cannot be imported, such as ssl in some interpreters, is left out: the sensor
    that needs it gets the error.

    :param usual: names of modules of the standard library.
    """
    path = list(sys.path)
    sys.path.append(COMPAT)
    for name in ("st2reactor.sensor.base", *usual):
        with suppress(Exception):
            importlib.import_module(name)
    sys.path[:] = path


def _load_module(file: str) -> ModuleType:
    if not file.endswith(".py") or not os.path.isfile(file):
        raise LoadError(
            "there is no such Python file; correct entry_point", kind="entry-point", file=file, in_metadata=True
        )
    name = _module_name(file)
    loader = bytecode.PackLoader(name, file)
    module = ModuleType(name)
    module.__file__, module.__loader__ = file, loader
    module.__spec__ = ModuleSpec(name, loader, origin=file)
    module.__spec__.has_location = True
    sys.modules[name] = module
    try:
        code = _compiled(file) or loader.get_code(name)
        assert code is not None
        exec(code, module.__dict__)
    except SyntaxError as error:
        place = error.filename or file
        message = f"syntax error: {error.msg}; {remedy.of_syntax(place, file)}"
        raise LoadError(message, kind="syntax", file=place, line=error.lineno) from error
    except ModuleNotFoundError as error:
        kind, what_to_do = remedy.of_missing_module(error.name or "", file)
        message = f"cannot be imported: {error}"
        if what_to_do not in message:
            message = f"{message}; {what_to_do}"
        raise LoadError(message, kind=kind, file=file, line=_line_in(error, file)) from error
    except StopSensor:
        raise
    except BaseException as error:
        message = f"cannot be imported: {type(error).__name__}: {error}; {_remedy_of(error)}"
        kind = "import" if isinstance(error, (ImportError, AttributeError)) else "not-importable"
        raise LoadError(message, kind=kind, file=file, line=_line_in(error, file)) from error
    return module


def _remedy_of(error: BaseException) -> str:
    """Return what to do about an error in the import of code."""
    if isinstance(error, ImportError) and absent.is_in_compat(error.path):
        return absent.what_to_do(error.name or "")
    return "correct the code"


def _module_name(file: str) -> str:
    """Return the file's stem, by which the pack's files import this module, or another name if the stem is taken."""
    stem = os.path.basename(file)[: -len(".py")]
    if stem in sys.modules:
        return f"sensor_{stem}"
    for folder in sys.path:
        for candidate in (f"{folder}/{stem}.py", f"{folder}/{stem}/__init__.py"):
            if os.access(candidate, os.F_OK):
                return stem if candidate == file or os.path.samefile(candidate, file) else f"sensor_{stem}"
    return stem


def _compiled(file: str) -> Optional[CodeType]:
    """Return the file's compiled code from Python's cache, or None if that is not up to date.

    The import system would do the same, but would use half a megabyte of memory that a fork does not share.
    """
    folder, name = os.path.split(file)
    cache = os.path.join(folder, "__pycache__", f"{name[: -len('.py')]}.{sys.implementation.cache_tag}.pyc")
    try:
        status, fd = os.stat(file), os.open(cache, os.O_RDONLY)
        try:
            data = os.read(fd, os.fstat(fd).st_size)
        finally:
            os.close(fd)
    except OSError:
        return None
    # The form of PEP 552: magic number, flags, the source's modification time and size.
    current = struct.pack("<III", 0, int(status.st_mtime) & 0xFFFFFFFF, status.st_size & 0xFFFFFFFF)
    if data[:16] != MAGIC_NUMBER + current:
        return None
    code: CodeType = marshal.loads(data[16:])
    return code


def _sensor_classes(module: ModuleType) -> List[str]:
    members: List[Tuple[str, Any]] = inspect.getmembers(module, inspect.isclass)
    return [name for name, value in members if derives(value, *BASES) and value.__module__ == module.__name__]


def _line_of(found: type) -> Optional[int]:
    try:
        return inspect.getsourcelines(found)[1]
    except (OSError, TypeError):
        return None


def _line_in(error: BaseException, file: str) -> Optional[int]:
    """Return the line of `file` in the innermost of its frames that lead to the error."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return lines[-1] if lines else None
