"""Loads a sensor's class from its file: the only place that executes pack code on import."""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
import traceback
from types import ModuleType
from typing import Any, Dict, List, Optional, Tuple, Type

import st2sensor
from st2sensor.sensor import Sensor
from st2sensor.wrapper.stop import StopSensor


class LoadError(Exception):
    """The class cannot be had.

    :param in_metadata: whether the remedy is in the metadata file rather than in the code.
    """

    def __init__(self, message: str, *, file: str, line: Optional[int] = None, in_metadata: bool = False) -> None:
        super().__init__(message)
        self.file = file
        self.line = line
        self.in_metadata = in_metadata


def load_class(code: Dict[str, Any]) -> Type[Sensor]:
    """Load the class that `code`, as the container describes it, names. Raises LoadError."""
    extend_path(code)
    file, class_name = code["file"], code["class_name"]
    module = _load_module(file)
    found = getattr(module, class_name, None)
    if not inspect.isclass(found):
        classes = ", ".join(sorted(_sensor_classes(module))) or "none that derives from Sensor or PollingSensor"
        raise LoadError(
            f"class_name: there is no class {class_name} in {file}, which has {classes}; correct class_name",
            file=file,
            in_metadata=True,
        )
    line = _line_of(found)
    if not issubclass(found, Sensor):
        message = f"class {class_name} does not derive from Sensor or PollingSensor of st2reactor.sensor.base"
        raise LoadError(f"{message}; derive it from one of them", file=file, line=line)
    missing = ", ".join(sorted(getattr(found, "__abstractmethods__", ())))
    if missing:
        raise LoadError(f"class {class_name} lacks {missing}; define every method of its base", file=file, line=line)
    return found


def extend_path(code: Dict[str, Any]) -> None:
    """Make the pack's modules, StackStorm's names, and the container's libraries importable, in this order."""
    compat = os.path.join(os.path.dirname(os.path.abspath(st2sensor.__file__)), "compat")
    same_version = list(sys.version_info[:2]) == code["fallback_version"]
    for path in [*code["search_paths"], compat, *(code["fallback_paths"] if same_version else [])]:
        if path not in sys.path:
            sys.path.append(path)


def _load_module(file: str) -> ModuleType:
    name = _module_name(file)
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None or not os.path.isfile(file):
        raise LoadError("there is no such Python file; correct entry_point", file=file, in_metadata=True)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise LoadError(
            f"syntax error: {error.msg}; correct the code", file=error.filename or file, line=error.lineno
        ) from error
    except ModuleNotFoundError as error:
        message = f"cannot be imported: {error}; add it to the pack's requirements.txt and install them"
        raise LoadError(message, file=file, line=_line_in(error, file)) from error
    except StopSensor:
        raise
    except BaseException as error:
        message = f"cannot be imported: {type(error).__name__}: {error}; correct the code"
        raise LoadError(message, file=file, line=_line_in(error, file)) from error
    return module


def _module_name(file: str) -> str:
    """The file's stem, so that siblings which import it get this module; another name where that one is taken."""
    stem = os.path.splitext(os.path.basename(file))[0]
    try:
        taken = stem in sys.modules or importlib.util.find_spec(stem) is not None
    except (ImportError, ValueError):
        taken = False
    if taken and not _is_file_of(stem, file):
        return f"sensor_{stem}"
    return stem


def _is_file_of(name: str, file: str) -> bool:
    spec = importlib.util.find_spec(name)
    return spec is not None and spec.origin is not None and os.path.abspath(spec.origin) == os.path.abspath(file)


def _sensor_classes(module: ModuleType) -> List[str]:
    members: List[Tuple[str, Any]] = inspect.getmembers(module, inspect.isclass)
    return [name for name, value in members if issubclass(value, Sensor) and value.__module__ == module.__name__]


def _line_of(found: type) -> Optional[int]:
    try:
        return inspect.getsourcelines(found)[1]
    except (OSError, TypeError):
        return None


def _line_in(error: BaseException, file: str) -> Optional[int]:
    """The last line of `file` on the way to the error."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return lines[-1] if lines else None
