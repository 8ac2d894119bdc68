"""Finds the dispatches in a sensor's code, with their triggers and payloads, by reading the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from st2sensor.packs.validation.constants import Constants
from st2sensor.packs.validation.program import FUNCTIONS, Module, Program, parameters, terminal

SERVICE = re.compile(r"(.*sensor_?)?_?service", re.IGNORECASE)
"""Names that a sensor service may have; other objects may also have a method `dispatch`."""

METHODS = ("dispatch", "dispatch_with_context")
BATCHES = ("dispatch_and_set", "dispatch_many")

NAMING = frozenset({"type", "ref", "pack", "name"})
"""Fields that identify a trigger."""

JSON = (str, int, float, type(None))
"""Types of constants that are checked against a payload's schema."""

LOGGING = frozenset({"debug", "info", "warning", "warn", "error", "exception", "print"})
"""Functions that do not change their arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """A payload that is written as a dict literal.

    :param known: the keys whose values are known constants, with those values.
    """

    known: Mapping[str, Any]
    keys: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """One dispatch.

    :param triggers: the references that it may name; None if they are not certain.
    :param payload: None if it is not certain.
    """

    file: Path
    line: int
    triggers: tuple[str, ...] | None
    payload: Payload | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arguments:
    """The arguments of one dispatch.

    :param place: the node that findings refer to: the call, or an item of a transaction.
    """

    place: ast.AST
    trigger: ast.expr | None
    payload: ast.expr | None
    has_payload: bool = True


def dispatches(program: Program) -> list[Dispatch]:
    """Return every dispatch that is found."""
    return [found for module in program.modules for found in _Reader(program, module).dispatches()]


def is_all(program: Program) -> bool:
    """Return whether all dispatches of a program are found. They are if it never passes its sensor service on."""
    return program.is_whole and not any(_Reader(program, module).escapes() for module in program.modules)


class _Reader:
    def __init__(self, program: Program, module: Module) -> None:
        self._program = program
        self._module = module
        self._constants = Constants(program, module)
        self._services = _aliases(module)

    def dispatches(self) -> Iterator[Dispatch]:
        for node in ast.walk(self._module.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                for arguments in self._arguments(node, node.func):
                    yield from self._followed(arguments)

    def escapes(self) -> bool:
        """Return whether there may be dispatches that are not found."""
        return any(self._escapes(node) for node in ast.walk(self._module.tree))

    def _is_service(self, node: ast.AST) -> bool:
        name = terminal(node)
        return name in self._services or SERVICE.fullmatch(name) is not None

    def _escapes(self, node: ast.AST) -> bool:
        if not isinstance(node, ast.Name | ast.Attribute) or not self._is_service(node):
            return False
        parent = self._module.parents[node]
        if isinstance(parent, ast.Attribute):
            call = self._module.parents[parent]
            return not (isinstance(call, ast.Call) and call.func is parent)
        if isinstance(parent, ast.keyword):
            parent = self._module.parents[parent]
        if isinstance(parent, ast.Call):
            return terminal(parent.func) != "__init__"
        return not isinstance(parent, ast.Assign | ast.AnnAssign)

    def _arguments(self, call: ast.Call, function: ast.Attribute) -> Iterator[_Arguments]:
        if function.attr in METHODS and self._is_service(function.value):
            is_open = _is_open(call)
            yield _Arguments(
                place=call,
                trigger=None if is_open else _argument(call, 0, "trigger"),
                payload=_argument(call, 1, "payload"),
                has_payload=is_open or _argument(call, 1, "payload") is not None,
            )
        elif function.attr in BATCHES:
            yield from _transaction(call, _argument(call, 0, "triggers"))

    def _followed(self, arguments: _Arguments) -> Iterator[Dispatch]:
        """Yield the dispatches of one call.

        If a method dispatches a trigger that it receives as a parameter, each call of that method is a dispatch.
        """
        trigger = arguments.trigger
        function = self._module.function_of(arguments.place)
        owner = self._module.class_of(arguments.place)
        if (
            isinstance(trigger, ast.Name)
            and isinstance(function, FUNCTIONS)
            and owner is not None
            and self._module.parents[function] is owner
            and trigger.id in parameters(function)
        ):
            yield from self._calls(owner, function, parameters(function).index(trigger.id) - 1, trigger.id)
            return
        triggers = None if trigger is None else self._triggers(trigger)
        yield self._dispatch(arguments.place, triggers, self._payload(arguments))

    def _calls(
        self, owner: ast.ClassDef, function: ast.FunctionDef | ast.AsyncFunctionDef, index: int, name: str
    ) -> Iterator[Dispatch]:
        named = [node for module in self._program.modules for node in module.attributes(function.name)]
        for node in named:
            call = self._module.parents.get(node)
            trigger = None
            if isinstance(call, ast.Call) and call.func is node and self._module.class_of(node) is owner:
                trigger = None if _is_open(call) else _argument(call, index, name)
            yield self._dispatch(node, None if trigger is None else self._triggers(trigger), None)
        if not named:
            yield self._dispatch(function, None, None)

    def _dispatch(self, place: ast.AST, triggers: tuple[str, ...] | None, payload: Payload | None) -> Dispatch:
        line = getattr(place, "lineno", 1)
        return Dispatch(file=self._module.file, line=line, triggers=triggers, payload=payload)

    def _triggers(self, expression: ast.expr) -> tuple[str, ...] | None:
        if isinstance(expression, ast.Dict):
            ref = self._described(expression)
            return None if ref is None else (ref,)
        values = self._constants.values(expression)
        if values is None:
            return None
        # An empty value stands for a trigger that is not set yet.
        return tuple(value for value in values if isinstance(value, str) and value)

    def _described(self, literal: ast.Dict) -> str | None:
        """Return the reference of a trigger that is given by its fields."""
        described = self._literal(literal)
        if described is None or not described.keys & NAMING <= described.known.keys():
            return None
        fields = described.known
        ref = fields.get("type") or fields.get("ref")
        if ref is None and {"pack", "name"} <= fields.keys():
            ref = f"{fields['pack']}.{fields['name']}"
        return ref if isinstance(ref, str) else None

    def _payload(self, arguments: _Arguments) -> Payload | None:
        payload = arguments.payload
        if not arguments.has_payload or (isinstance(payload, ast.Constant) and payload.value is None):
            return Payload(known={}, keys=frozenset())
        if isinstance(payload, ast.Name):
            payload = self._unchanged(payload)
        return self._literal(payload) if isinstance(payload, ast.Dict) else None

    def _unchanged(self, name: ast.Name) -> ast.expr | None:
        """Return the value of a local name, if nothing can have changed it since."""
        function = self._module.function_of(name)
        if not isinstance(function, FUNCTIONS) or name.id in parameters(function):
            return None
        value = None
        for node in ast.walk(function):
            if not isinstance(node, ast.Name) or node.id != name.id or node is name:
                continue
            parent = self._module.parents[node]
            if isinstance(node.ctx, ast.Store) and isinstance(parent, ast.Assign) and value is None:
                value = parent.value
            elif not isinstance(node.ctx, ast.Load) or not self._only_looks(node):
                return None
        return value

    def _only_looks(self, name: ast.Name) -> bool:
        call = self._module.parents[name]
        if isinstance(call, ast.keyword):
            call = self._module.parents[call]
        return isinstance(call, ast.Call) and terminal(call.func) in LOGGING | set(METHODS)

    def _literal(self, literal: ast.Dict) -> Payload | None:
        known: dict[str, Any] = {}
        keys = set()
        for key, value in zip(literal.keys, literal.values, strict=True):
            names = None if key is None else self._constants.values(key)
            if names is None or len(names) != 1 or not isinstance(names[0], str):
                return None
            keys.add(names[0])
            values = self._constants.values(value)
            if values is not None and len(values) == 1 and isinstance(values[0], JSON):
                known[names[0]] = values[0]
        return Payload(known=known, keys=frozenset(keys))


def _aliases(module: Module) -> set[str]:
    """Return the names that a sensor service is assigned to."""
    found: set[str] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Assign) and SERVICE.fullmatch(terminal(node.value)):
            found |= set(map(terminal, node.targets))
    return found - {""}


def _transaction(call: ast.Call, triggers: ast.expr | None) -> Iterator[_Arguments]:
    items: list[ast.expr] = []
    if isinstance(triggers, ast.List | ast.Tuple):
        items = triggers.elts
    elif isinstance(triggers, ast.ListComp | ast.GeneratorExp):
        items = [triggers.elt]
    else:
        yield _Arguments(place=call, trigger=None, payload=None)
    for item in items:
        if isinstance(item, ast.Tuple | ast.List) and item.elts and not isinstance(item.elts[0], ast.Starred):
            payload = item.elts[1] if len(item.elts) > 1 else None
            yield _Arguments(place=item, trigger=item.elts[0], payload=payload, has_payload=len(item.elts) > 1)
        else:
            yield _Arguments(place=item, trigger=None, payload=None)


def _argument(call: ast.Call, index: int, name: str) -> ast.expr | None:
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    return call.args[index] if index < len(call.args) else None


def _is_open(call: ast.Call) -> bool:
    """Return whether arguments are passed by * or **."""
    return any(isinstance(item, ast.Starred) for item in call.args) or any(
        keyword.arg is None for keyword in call.keywords
    )
