"""Reads a YAML or JSON file, and finds the line of each of its keys."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from st2sensor.errors import ContentError
from st2sensor.packs.yaml_text import LONGEST, composed, parsed
from st2sensor.system import regular_file

METADATA = (".yaml", ".yml")
"""Suffixes of metadata files, as in StackStorm. JSON files in the same folders belong to the pack."""

SUFFIXES = (*METADATA, ".json")

LARGEST = 16_000_000
"""Maximum number of bytes of a JSON file. Only commands read these, and without their lines they take little memory."""


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
        root = composed(_text(path))
    except (ContentError, yaml.YAMLError):
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


def read(path: Path) -> File:
    """Parse a file. Raises ContentError naming file and line."""
    shown = str(path)
    if not shown.isprintable() and shown.encode(errors="replace").decode() != shown:
        raise ContentError("its name is not valid UTF-8, so no database can store it; rename it", file=shown)
    text = _text(path)
    if path.suffix == ".json":
        return _read_json(shown, text)
    try:
        root, data = parsed(text)
    except yaml.YAMLError as exception:
        mark = getattr(exception, "problem_mark", None)
        problem = getattr(exception, "problem", None) or str(exception).splitlines()[0]
        line = None if mark is None else mark.line + 1
        raise ContentError(f"malformed YAML: {problem}; correct the file", file=shown, line=line) from exception
    return _json_only(File(shown=shown, data=data, _root=root))


def _text(path: Path) -> str:
    """Return the text of a file. Raises ContentError."""
    shown = str(path)
    try:
        data = regular_file.read(path, LARGEST if path.suffix == ".json" else LONGEST)
        return io.TextIOWrapper(io.BytesIO(data), encoding="utf-8").read()
    except OSError as exception:
        problem = regular_file.reason(exception)
        raise ContentError(
            f"cannot be read: {problem}; correct its type, size or permissions", file=shown
        ) from exception
    except UnicodeDecodeError as exception:
        raise ContentError(f"cannot be read: {exception}; make it a readable UTF-8 file", file=shown) from exception


def value(text: str) -> Any:
    """Parse a value in the notation of a file. Raises ValueError."""
    try:
        return parsed(text)[1]
    except yaml.YAMLError as exception:
        raise ValueError(str(getattr(exception, "problem", None) or exception)) from exception


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
        root = composed(text)
    except yaml.YAMLError:
        # JSON may be indented with tabs, which YAML does not accept, or be larger; the line numbers are then unknown.
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
