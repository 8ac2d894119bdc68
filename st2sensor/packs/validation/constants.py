"""Evaluates expressions in a sensor's code to constants, where their values are certain."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

from st2sensor.packs.validation.program import (
    COMPREHENSIONS,
    FUNCTIONS,
    Module,
    Program,
    assigned,
    bindings,
    parameters,
    terminal,
)

MOST = 16
"""Maximum number of possible values that are followed for one expression."""

DEPTH = 20
"""Maximum number of steps that are followed from a name to its value."""

Values = tuple[Any, ...]
"""All possible values of an expression."""


class Constants:
    """Finds the constant values of one module's expressions."""

    def __init__(self, program: Program, module: Module) -> None:
        self._program = program
        self._module = module
        self._depth = 0

    def values(self, expression: ast.expr) -> Values | None:
        """Return every possible value of an expression; None when they are uncertain."""
        if self._depth >= DEPTH:
            return None
        self._depth += 1
        try:
            return self._values(expression)
        finally:
            self._depth -= 1

    def _values(self, expression: ast.expr) -> Values | None:
        match expression:
            case ast.Constant(value=value):
                return (value,)
            case ast.JoinedStr(values=parts):
                return self._combined(parts, lambda texts: "".join(map(str, texts)))
            case ast.FormattedValue(value=value, conversion=-1, format_spec=None):
                return self.values(value)
            case ast.Tuple(elts=items):
                return self._combined(items, tuple)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._combined([left, right], lambda pair: pair[0] + pair[1])
            case ast.BinOp(left=left, op=ast.Mod(), right=right):
                return self._combined([left, right], lambda pair: pair[0] % pair[1])
            case ast.IfExp(body=body, orelse=other):
                return self._either([body, other])
            case ast.Call(func=ast.Attribute(value=text, attr="join"), args=[ast.List() | ast.Tuple() as items]):
                return self._combined([text, *items.elts], lambda all_: all_[0].join(all_[1:]))
            case ast.Call(func=ast.Attribute(value=text, attr="format"), args=args, keywords=[]):
                return self._combined([text, *args], lambda all_: all_[0].format(*all_[1:]))
            case ast.Name():
                return self._name(expression)
            case ast.Attribute(value=ast.Name()):
                return self._attribute(expression)
        return None

    def _combined(self, parts: Sequence[ast.expr], combine: Callable[[Sequence[Any]], Any]) -> Values | None:
        found = [self.values(part) for part in parts]
        if any(values is None for values in found):
            return None
        combinations = list(product(*(values for values in found if values is not None)))
        if len(combinations) > MOST:
            return None
        try:
            return tuple(combine(combination) for combination in combinations)
        except (TypeError, ValueError, AttributeError, KeyError, IndexError):
            return None

    def _either(self, expressions: Sequence[ast.expr | None]) -> Values | None:
        found: list[Any] = []
        for expression in expressions:
            values = None if expression is None else self.values(expression)
            if values is None:
                return None
            found += values
        return tuple(found) if 0 < len(found) <= MOST else None

    def _name(self, name: ast.Name) -> Values | None:
        """Return the values of a name. A local name may have several, a module's name only one."""
        is_inside_function = False
        for above in self._module.above(name):
            if isinstance(above, COMPREHENSIONS) and name.id in _targets(above):
                return None
            if isinstance(above, (*FUNCTIONS, ast.Lambda)):
                is_inside_function = True
                if name.id in parameters(above):
                    return None
            if isinstance(above, (*FUNCTIONS, ast.Module)) or (
                isinstance(above, ast.ClassDef) and not is_inside_function
            ):
                bound = bindings(self._module, above, name.id)
                if bound:
                    is_ambiguous = isinstance(above, ast.Module) and (len(bound) > 1 or self._is_global(name.id))
                    return None if is_ambiguous else self._either(bound)
        return None

    def _is_global(self, name: str) -> bool:
        return any(isinstance(node, ast.Global) and name in node.names for node in ast.walk(self._module.tree))

    def _attribute(self, attribute: ast.Attribute) -> Values | None:
        """Return the value of an attribute of self, cls or a class, if it is assigned only once."""
        owner = self._owner(attribute)
        if owner is None or self._is_set_elsewhere(attribute.attr, owner):
            return None
        while owner is not None:
            bound = stores(self._module, owner, attribute.attr)
            if bound:
                return self._either(bound) if len(bound) == 1 else None
            owner = self._base(owner)
        return None

    def _owner(self, attribute: ast.Attribute) -> ast.ClassDef | None:
        owner = terminal(attribute.value)
        if owner not in ("self", "cls"):
            return self._class(owner)
        return self._module.class_of(attribute)

    def _base(self, owner: ast.ClassDef) -> ast.ClassDef | None:
        found = self._class(terminal(owner.bases[0])) if len(owner.bases) == 1 else None
        return None if found is owner else found

    def _class(self, name: str) -> ast.ClassDef | None:
        found = [item for item in self._module.classes() if item.name == name]
        return found[0] if len(found) == 1 else None

    def _is_set_elsewhere(self, name: str, owner: ast.ClassDef) -> bool:
        """Return whether a subclass or code outside of methods sets the attribute."""
        for module in self._program.modules:
            derived = [item for item in self._program.derived(owner.name) if item in set(module.classes())]
            if any(stores(module, item, name) for item in derived):
                return True
        return any(
            isinstance(node, ast.Attribute)
            and node.attr == name
            and not isinstance(node.ctx, ast.Load)
            and (terminal(node.value) != "self" or self._module.class_of(node) is None)
            for node in ast.walk(self._module.tree)
        )


def stores(module: Module, owner: ast.ClassDef, name: str) -> list[ast.expr | None]:
    """Return the bindings of a class's attribute, in its body and through self."""
    found = bindings(module, owner, name)
    for node in ast.walk(owner):
        if (
            isinstance(node, ast.Attribute)
            and node.attr == name
            and terminal(node.value) == "self"
            and not isinstance(node.ctx, ast.Load)
        ):
            found += assigned(module, node)
    return found


def _targets(comprehension: ast.AST) -> set[str]:
    return {
        node.id for node in ast.walk(comprehension) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
