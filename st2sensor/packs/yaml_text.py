"""Parses YAML text that nobody has checked: its nodes, which have positions, and its content.

The cost is bounded before anything is built: an event of the parser takes no memory, but a node takes half a kilobyte.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import yaml

LONGEST = 4_000_000
"""Maximum number of bytes of a text, and of characters with its aliases expanded."""

MOST_VALUES = 50_000
"""Maximum number of keys and values of a text, counted with its aliases expanded. So many take 25 MB and 2 s."""

DEEPEST = 100
"""Maximum number of levels: databases store no more, and libyaml and others call themselves for each."""

EXPLAINED = 20_000
"""Maximum number of characters of a text whose mistake the parser in Python explains. It is slow."""

LONGEST_NUMBER = 400
"""Maximum number of characters of a number. The largest float has 309 digits, and base 60 takes quadratic time."""

FAILURES = (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""PyYAML raises these for malformed texts."""

PREFIX = "tag:yaml.org,2002:"


class _TooMuch(yaml.MarkedYAMLError):
    """The text would cost too much. No parser is asked to explain it."""

    def __init__(self, problem: str, node: Any) -> None:
        """:param node: a node or an event, at which it was noticed."""
        super().__init__(None, None, problem, node.start_mark)


class _Rules(yaml.constructor.SafeConstructor):
    """Safe YAML, in which a timestamp stays text and a key is text: `on:` and `200:` are keys like any other."""

    yaml_implicit_resolvers: ClassVar = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != f"{PREFIX}timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        if not isinstance(node, yaml.MappingNode):
            raise yaml.constructor.ConstructorError(None, None, f"expected a mapping, not a {node.id}", node.start_mark)
        self.flatten_mapping(node)
        mapping: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be text", key_node.start_mark)
            mapping[key_node.value] = self.construct_object(value_node, deep=deep)
        return mapping


def _placed(kind: str) -> Callable[[Any, yaml.Node], Any]:
    """Return PyYAML's constructor of a kind of value, whose errors have a place and quote nothing."""
    construct = yaml.constructor.SafeConstructor.yaml_constructors[f"{PREFIX}{kind}"]

    def constructed(loader: Any, node: yaml.Node) -> Any:
        length = len(node.value) if isinstance(node, yaml.ScalarNode) else 0
        try:
            if length <= LONGEST_NUMBER:
                return construct(loader, node)
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError):
            pass
        flaw = "is too long for a number" if length > LONGEST_NUMBER else f"is not a valid {kind}"
        problem = f"this {flaw}; if it is text, put quotes around it"
        raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)

    return constructed


for _kind in ("bool", "int", "float", "timestamp"):
    _Rules.add_constructor(f"{PREFIX}{_kind}", _placed(_kind))
for _kind in ("omap", "pairs"):
    # They would become tuples.
    _Rules.yaml_constructors[f"{PREFIX}{_kind}"] = _Rules.construct_undefined


class _Loader(_Rules, yaml.SafeLoader):
    """Parses in Python."""


_CSafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""PyYAML may have been built without libyaml."""


class _FastLoader(_Rules, _CSafeLoader):  # type: ignore[misc]  # chosen above
    """Parses with libyaml, in a quarter of the time and with the same positions."""


def parsed(text: str) -> tuple[yaml.Node | None, Any]:
    """Return the nodes of a text and its content. Raises YAMLError.

    Mistakes are explained by the parser in Python, which also reads a few texts that libyaml refuses.
    """
    return _read(text, lambda loader, root: loader.construct_document(root))


def composed(text: str) -> yaml.Node | None:
    """Return the nodes of a text. Raises YAMLError."""
    return _read(text, lambda loader, root: None)[0]  # noqa: ARG005


def _read(text: str, construct: Callable[[Any, yaml.Node], Any]) -> tuple[yaml.Node | None, Any]:
    try:
        _preview(text)
        return _by(_FastLoader, text, construct)
    except _TooMuch:
        raise
    except FAILURES as exception:
        if len(text) > EXPLAINED:
            raise _as_yaml(exception) from exception
    try:
        return _by(_Loader, text, construct)
    except FAILURES as exception:
        raise _as_yaml(exception) from exception


def _by(kind: Any, text: str, construct: Callable[[Any, yaml.Node], Any]) -> tuple[yaml.Node | None, Any]:
    loader = kind(text)
    try:
        root: yaml.Node | None = loader.get_single_node()
        if root is None:
            return None, None
        _bound(root)
        return root, construct(loader, root)
    finally:
        loader.dispose()


def _as_yaml(exception: BaseException) -> yaml.YAMLError:
    return exception if isinstance(exception, yaml.YAMLError) else yaml.YAMLError(str(exception))


def _preview(text: str) -> None:
    """Refuse a text with too many values or levels, before they take memory. Raises YAMLError."""
    # Each level needs a bracket, or a column further to the right; a mapping may begin in the same place as a list.
    levels = 2 * (text.count("[") + text.count("{") + max(map(len, text.split("\n"))))
    if len(text) <= MOST_VALUES and levels <= DEEPEST:
        return
    event: Any
    depth = number = 0
    for event in yaml.parse(text, Loader=_CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            number += 1
            if depth > DEEPEST:
                raise _TooMuch(f"it is nested more than {DEEPEST} levels deep", event)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.NodeEvent):
            number += 1
        if number > MOST_VALUES:
            raise _TooMuch(f"it has more than {MOST_VALUES:,} keys and values", event)


def _bound(root: yaml.Node) -> None:
    """Refuse aliases that expand to more than memory can hold. Raises YAMLError."""
    sizes: dict[int, tuple[int, int]] = {}
    """The characters and values of each node, by id; 0 while a node is being measured. A node that is met again at
    that time contains itself, which is refused later."""

    def size(node: yaml.Node) -> tuple[int, int]:
        if id(node) not in sizes:
            sizes[id(node)] = (0, 0)
            if isinstance(node, yaml.ScalarNode):
                parts = [(len(node.value), 0)]
            elif isinstance(node, yaml.MappingNode):
                parts = [size(part) for pair in node.value for part in pair]
            else:
                parts = [size(part) for part in node.value]
            sizes[id(node)] = (sum(part[0] for part in parts) + 1, sum(part[1] for part in parts) + 1)
        characters, values = sizes[id(node)]
        if characters > LONGEST or values > MOST_VALUES:
            problem = f"its aliases expand to more than {LONGEST:,} characters or {MOST_VALUES:,} values"
            raise _TooMuch(problem, node)
        return sizes[id(node)]

    size(root)
