"""Reads a sensor's class, and finds its kind and missing methods."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from st2sensor.packs.validation.program import FUNCTIONS, Function, Module, Program, terminal, within
from st2sensor.portable.methods import (
    INTERVAL,
    TAKES,
    asynchronous,
    constructor_refusal,
    generating,
    refusal,
    uncallable,
)

BASES = {"Sensor": "run", "PollingSensor": "poll"}
"""Kinds of sensors, each with the method that does the work."""

REQUIRED = ("setup", "cleanup", "add_trigger", "update_trigger", "remove_trigger")


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A method, or another attribute with a method's name.

    :param code: its definition; None if it is assigned, or decorated, so that a call may do anything.
    """

    file: Path
    line: int
    code: Function | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Class:
    """A sensor's class whose bases are all known.

    :param kind: one of BASES.
    :param methods: the methods that it or its bases in the pack define.
    :param names: every name and attribute that it uses.
    """

    name: str
    file: Path
    line: int
    kind: str
    methods: dict[str, Method]
    names: frozenset[str]

    @property
    def missing(self) -> list[str]:
        """Abstract methods that it does not define."""
        return sorted({*REQUIRED, BASES[self.kind]} - self.methods.keys())

    def unworkable(self) -> Iterator[tuple[str, str, Method]]:
        """Yield the methods whose call would not run their code: kind of the problem, message and method."""
        for name in TAKES:
            method = self.methods.get(name)
            if method is None or method.code is None or (name == "poll" and self.kind != "PollingSensor"):
                continue
            if isinstance(method.code, ast.AsyncFunctionDef):
                yield "async-method", asynchronous(self.name, name), method
            elif any(isinstance(node, ast.Yield | ast.YieldFrom) for node in within(method.code)):
                yield "generator", generating(self.name, name), method
            elif reason := refusal(name, _signature(method.code.args)):
                yield "signature", uncallable(self.name, name, reason), method

    def constructor(self, has_interval: bool) -> tuple[str, Method] | None:
        """Return the message about a constructor that cannot be called, or None.

        :param has_interval: whether the metadata set a poll_interval.
        """
        method = self.methods.get("__init__")
        if method is None or method.code is None:
            return None
        passed = ["sensor_service", "config"] + [INTERVAL] * (has_interval and self.kind == "PollingSensor")
        parameters = list(_signature(method.code.args).parameters.values())
        if parameters and parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL:
            # self
            parameters = parameters[1:]
        message = constructor_refusal(self.name, inspect.Signature(parameters), passed)
        return None if message is None else (message, method)


def class_of(program: Program, name: str) -> Class | None:
    """Return the class of this name in the first module; None when it is missing or not fully known."""
    module = program.modules[0] if program.modules else None
    found = [] if module is None else [item for item in module.classes() if item.name == name]
    if len(found) != 1 or module is None:
        return None
    chain = list(_chain(program, module, found[0]))
    kind = chain[-1][1]
    if not isinstance(kind, str):
        return None
    methods: dict[str, Method] = {}
    names: set[str] = set()
    for owner, item in chain:
        if isinstance(item, ast.ClassDef):
            methods = _methods(owner, item) | methods
            names |= {terminal(node) for node in ast.walk(item)}
    return Class(name=name, file=module.file, line=_line(found[0]), kind=kind, methods=methods, names=frozenset(names))


def _chain(program: Program, module: Module, start: ast.ClassDef) -> Iterator[tuple[Module, ast.ClassDef | str | None]]:
    """Yield a class and its bases; the last item is the kind, or None when it is uncertain."""
    item, seen = start, set[ast.ClassDef]()
    while True:
        yield module, item
        seen.add(item)
        if len(item.bases) != 1 or item.keywords or item.decorator_list:
            yield module, None
            return
        base = terminal(item.bases[0])
        candidates = [(owner, found) for owner in program.modules for found in owner.classes() if found.name == base]
        if not candidates:
            yield module, base if base in BASES and _is_imported(module, item.bases[0], base) else None
            return
        if len(candidates) > 1 or candidates[0][1] in seen:
            yield module, None
            return
        module, item = candidates[0]


def _is_imported(module: Module, base: ast.expr, name: str) -> bool:
    """Return whether a base is the one of the sensor API."""
    if isinstance(base, ast.Attribute):
        return terminal(base.value) == "base"
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module in ("st2reactor.sensor.base", "st2sensor.sensor", "st2sensor")
        and any(alias.name == name and alias.asname is None for alias in node.names)
        for node in ast.walk(module.tree)
    )


def _methods(module: Module, item: ast.ClassDef) -> dict[str, Method]:
    """Return the names that a class's body defines, also by assignment, without abstract methods."""
    found: dict[str, Method] = {}
    for node in ast.walk(item):
        if module.class_of(node) is not item or module.function_of(node) is not None:
            continue
        if isinstance(node, FUNCTIONS):
            if "abstractmethod" not in map(terminal, node.decorator_list):
                is_plain = not node.decorator_list and node.name not in found
                found[node.name] = Method(file=module.file, line=node.lineno, code=node if is_plain else None)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found[node.id] = Method(file=module.file, line=node.lineno)
    return found


def _signature(accepted: ast.arguments) -> inspect.Signature:
    """Return the signature of a function; its defaults only say that there is one."""
    empty = inspect.Parameter.empty
    positional = [*accepted.posonlyargs, *accepted.args]
    required = len(positional) - len(accepted.defaults)
    found = [
        inspect.Parameter(
            item.arg,
            inspect.Parameter.POSITIONAL_ONLY
            if item in accepted.posonlyargs
            else inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=empty if index < required else None,
        )
        for index, item in enumerate(positional)
    ]
    if accepted.vararg is not None:
        found.append(inspect.Parameter(accepted.vararg.arg, inspect.Parameter.VAR_POSITIONAL))
    found += [
        inspect.Parameter(item.arg, inspect.Parameter.KEYWORD_ONLY, default=empty if default is None else None)
        for item, default in zip(accepted.kwonlyargs, accepted.kw_defaults, strict=True)
    ]
    if accepted.kwarg is not None:
        found.append(inspect.Parameter(accepted.kwarg.arg, inspect.Parameter.VAR_KEYWORD))
    return inspect.Signature(found)


def _line(item: ast.ClassDef) -> int:
    return item.decorator_list[0].lineno if item.decorator_list else item.lineno
