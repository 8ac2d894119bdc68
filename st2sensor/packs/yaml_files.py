"""Reads a YAML or JSON file, and finds the line of each of its keys."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import yaml

from st2sensor.errors import ContentError

METADATA = (".yaml", ".yml")
"""Suffixes of metadata files, as in StackStorm. JSON files in the same folders belong to the pack."""

SUFFIXES = (*METADATA, ".json")

LARGEST = 16_000_000
"""Maximum number of characters of a file, counted with its aliases expanded."""

FAST_LEVELS = 2000
"""Maximum nesting that libyaml is trusted with. Each level takes about a kilobyte of a stack of 8 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A parsed file.

    :param shown: its path, as in messages.
    :param data: its content; timestamps stay text, and keys are always text.
    """

    shown: str
    data: Any
    _root: yaml.Node | None

    def line(self, path: Sequence[str | int]) -> int | None:
        """Return the line, counted from 1, of the key or item at a path, or of the nearest one above it."""
        node, line = self._root, None if self._root is None else self._root.start_mark.line + 1
        for part in path:
            entry = _entry(node, part)
            if entry is None:
                return line
            line, node = entry
        return line

    def error(self, message: str, path: Sequence[str | int] = ()) -> ContentError:
        """Return an error about the value at a path."""
        return ContentError(message, file=self.shown, line=self.line(path))


def repeated(path: Path) -> list[ContentError]:
    """Return an error for each key that occurs twice in one mapping; none for a file that cannot be parsed."""
    try:
        text = _text(path)
        root = _composed(text)
        _bound(root)
    except (ContentError, yaml.YAMLError, ValueError, RecursionError):
        return []
    return [
        ContentError(
            f"{key.value} is already on line {first}, and only this later one takes effect; remove one of them",
            file=str(path),
            line=key.start_mark.line + 1,
        )
        for key, first in _repeated(root)
    ]


def _repeated(root: yaml.Node | None) -> Iterator[tuple[yaml.ScalarNode, int]]:
    """Yield each repeated key, with the line of its previous occurrence."""
    todo, seen = [root], set[int]()
    while todo:
        node = todo.pop()
        if node is None or isinstance(node, yaml.ScalarNode) or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            todo += node.value
            continue
        lines: dict[str, int] = {}
        for key, value in node.value:
            todo.append(value)
            # Several merge keys are allowed.
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in lines:
                    yield key, lines[key.value]
                lines[key.value] = key.start_mark.line + 1


class _Rules(yaml.constructor.SafeConstructor):
    """Safe YAML, in which a timestamp stays text and a key is text: `on:` and `200:` are keys like any other."""

    yaml_implicit_resolvers: ClassVar = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        self.flatten_mapping(node)
        mapping: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be text", key_node.start_mark)
            mapping[key_node.value] = self.construct_object(value_node, deep=deep)
        return mapping


class _Loader(_Rules, yaml.SafeLoader):
    """Parses in Python."""


_CSafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""PyYAML may have been built without libyaml."""


class _FastLoader(_Rules, _CSafeLoader):  # type: ignore[misc]  # chosen above
    """Parses with libyaml, in a quarter of the time and with the same positions."""


def _loader(text: str) -> Any:
    """Return a loader of a text. libyaml composes recursively on the thread's stack, so it gets no deep nesting."""
    # Each level needs a bracket, or a column further to the right; a mapping may begin in the same place as a list.
    levels = 2 * (text.count("[") + text.count("{") + max(map(len, text.split("\n"))))
    kind: Any = _FastLoader if levels <= FAST_LEVELS else _Loader
    return kind(text)


def _composed(text: str) -> yaml.Node | None:
    """Return the nodes of a text, which have positions. Raises YAMLError."""
    loader = _loader(text)
    try:
        root: yaml.Node | None = loader.get_single_node()
        return root
    finally:
        loader.dispose()


def read(path: Path) -> File:
    """Parse a file. Raises ContentError naming file and line."""
    shown = str(path)
    if not shown.isprintable() and shown.encode(errors="replace").decode() != shown:
        raise ContentError("its name is not valid UTF-8, so no database can store it; rename it", file=shown)
    text = _text(path)
    if path.suffix == ".json":
        return _read_json(shown, text)
    try:
        root, data = _parsed(text)
    except yaml.YAMLError as exception:
        mark = getattr(exception, "problem_mark", None)
        problem = getattr(exception, "problem", None) or str(exception).splitlines()[0]
        line = None if mark is None else mark.line + 1
        raise ContentError(f"malformed YAML: {problem}; correct the file", file=shown, line=line) from exception
    except (ValueError, RecursionError) as exception:
        raise ContentError(f"malformed YAML: {exception}; correct the file", file=shown) from exception
    return _json_only(File(shown=shown, data=data, _root=root))


def _parsed(text: str) -> tuple[yaml.Node | None, Any]:
    """Return the nodes of a text, which have positions, and its content. Raises YAMLError, ValueError, RecursionError.

    Mistakes are explained by the parser in Python, which also reads a few texts that libyaml refuses.
    """
    try:
        return _parsed_by(_loader(text))
    except yaml.YAMLError:
        return _parsed_by(_Loader(text))


def _parsed_by(loader: Any) -> tuple[yaml.Node | None, Any]:
    try:
        root: yaml.Node | None = loader.get_single_node()
        _bound(root)
        return root, None if root is None else loader.construct_document(root)
    finally:
        loader.dispose()


def _text(path: Path) -> str:
    """Return the text of a file. Raises ContentError."""
    shown = str(path)
    try:
        if not path.is_file():
            # Reading a pipe would wait for its writer.
            raise ContentError("cannot be read: it is not a regular file; replace or remove it", file=shown)
        with path.open(encoding="utf-8") as file:
            text = file.read(LARGEST + 1)
    except (OSError, UnicodeDecodeError) as exception:
        raise ContentError(f"cannot be read: {exception}; make it a readable UTF-8 file", file=shown) from exception
    if len(text) > LARGEST:
        raise ContentError(f"is longer than {LARGEST:,} characters; make it smaller", file=shown)
    return text


def value(text: str) -> Any:
    """Parse a value in the notation of a file. Raises ValueError."""
    try:
        return _parsed(text)[1]
    except RecursionError as exception:
        raise ValueError("it is nested too deeply") from exception
    except yaml.YAMLError as exception:
        raise ValueError(str(getattr(exception, "problem", None) or exception)) from exception


def _bound(root: yaml.Node | None) -> None:
    """Refuse aliases that expand to more than memory can hold. Raises YAMLError."""
    sizes: dict[int, int] = {}
    """The size of each node, by id; 0 while a node is being measured. A node that is met again at that time contains
    itself, which is refused later."""

    def size(node: yaml.Node) -> int:
        if id(node) not in sizes:
            sizes[id(node)] = 0
            if isinstance(node, yaml.ScalarNode):
                parts = len(node.value)
            elif isinstance(node, yaml.MappingNode):
                parts = sum(size(key) + size(part) for key, part in node.value)
            else:
                parts = sum(map(size, node.value))
            sizes[id(node)] = parts + 1
        if sizes[id(node)] > LARGEST:
            raise yaml.constructor.ConstructorError(
                None, None, f"its aliases expand to more than {LARGEST:,} characters", node.start_mark
            )
        return sizes[id(node)]

    if root is not None:
        size(root)


def _json_only(file: File) -> File:
    """Refuse values that JSON cannot represent: binary, sets, infinities, an anchor that contains itself."""
    try:
        json.dumps(file.data, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as exception:
        raise ContentError(
            f"holds a value that JSON cannot represent: {exception}; write it as text", file=file.shown
        ) from exception
    return file


def _read_json(shown: str, text: str) -> File:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as exception:
        line = getattr(exception, "lineno", None)
        problem = getattr(exception, "msg", str(exception))
        raise ContentError(f"malformed JSON: {problem}; correct the file", file=shown, line=line) from exception
    try:
        root = _composed(text)
    except yaml.YAMLError:
        # JSON may be indented with tabs, which YAML does not accept; the line numbers are then unknown.
        root = None
    return _json_only(File(shown=shown, data=data, _root=root))


def _entry(node: yaml.Node | None, part: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == part:
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        item = node.value[part]
        return item.start_mark.line + 1, item
    return None
