"""Reads a sensor's code: the syntax trees of its modules, and their bindings. Nothing is executed."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from st2sensor.packs.code.imports import LARGEST, UNREADABLE
from st2sensor.system import regular_file

Function = ast.FunctionDef | ast.AsyncFunctionDef
Scope = Function | ast.Lambda | ast.ClassDef | ast.Module

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
SCOPES = (*FUNCTIONS, ast.Lambda, ast.ClassDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One module. :param parents: the parent of each node except the tree itself."""

    file: Path
    tree: ast.Module
    parents: dict[ast.AST, ast.AST]

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield the nodes around a node, innermost first."""
        while node in self.parents:
            node = self.parents[node]
            yield node

    def class_of(self, node: ast.AST) -> ast.ClassDef | None:
        """Return the innermost class around a node."""
        return next((above for above in self.above(node) if isinstance(above, ast.ClassDef)), None)

    def function_of(self, node: ast.AST) -> Function | ast.Lambda | None:
        """Return the innermost function around a node."""
        return next(
            (above for above in self.above(node) if isinstance(above, Function | ast.Lambda)),
            None,
        )

    def attributes(self, name: str) -> Iterator[ast.Attribute]:
        yield from (node for node in ast.walk(self.tree) if isinstance(node, ast.Attribute) and node.attr == name)

    def classes(self) -> Iterator[ast.ClassDef]:
        yield from (node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef))


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """The modules of a sensor that are in its pack.

    :param is_whole: whether each of them could be read.
    """

    modules: tuple[Module, ...]
    is_whole: bool

    def derived(self, name: str) -> list[ast.ClassDef]:
        """Return the classes that derive from a class of this name, directly or indirectly."""
        names, found = {name}, list[ast.ClassDef]()
        candidates = [item for module in self.modules for item in module.classes()]
        for _ in candidates:
            fresh = [item for item in candidates if item not in found and names & set(map(terminal, item.bases))]
            if not fresh:
                break
            found += fresh
            names |= {item.name for item in fresh}
        return found


def read(files: Sequence[Path]) -> Program:
    modules = []
    for file in files:
        try:
            tree = ast.parse(regular_file.read(file, LARGEST))
        except UNREADABLE:
            continue
        parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        modules.append(Module(file=file, tree=tree, parents=parents))
    return Program(modules=tuple(modules), is_whole=len(modules) == len(files))


def terminal(expression: ast.AST) -> str:
    """Return the last name of a dotted expression; empty for other expressions."""
    if isinstance(expression, ast.Attribute):
        return expression.attr
    return expression.id if isinstance(expression, ast.Name) else ""


def parameters(function: Function | ast.Lambda) -> list[str]:
    """Return the names of positional parameters in order, then of all others."""
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    named += [item for item in (arguments.vararg, arguments.kwarg) if item is not None]
    return [item.arg for item in named]


def within(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a scope, without those of inner scopes."""
    waiting = list(ast.iter_child_nodes(scope))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (*SCOPES, *COMPREHENSIONS)):
            waiting += ast.iter_child_nodes(node)


def bindings(module: Module, scope: Scope, name: str) -> list[ast.expr | None]:
    """Return every binding of a name in a scope; None for a binding that is not a single expression."""
    found: list[ast.expr | None] = []
    for node in within(scope):
        if isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load):
            found += assigned(module, node)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
            found += [None] * (name in names or "*" in names)
        elif (isinstance(node, (*FUNCTIONS, ast.ClassDef, ast.ExceptHandler)) and node.name == name) or (
            isinstance(node, ast.Global | ast.Nonlocal) and name in node.names
        ):
            found.append(None)
    return found


def assigned(module: Module, target: ast.expr) -> list[ast.expr | None]:
    """Return the value of one target of an assignment; nothing for an annotation without a value."""
    statement = module.parents[target]
    if isinstance(statement, ast.Assign):
        return [statement.value]
    if isinstance(statement, ast.AnnAssign):
        return [] if statement.value is None else [statement.value]
    return [None]
