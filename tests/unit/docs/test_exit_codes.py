"""The table of exit codes in docs/ lists every error, with the code that it has."""

from __future__ import annotations

import re
from collections.abc import Iterator

from st2sensor import errors
from st2sensor.cli.invocation import INTERNAL_ERROR, INTERRUPTED, IO_ERROR
from tests.support.guides import DOCS

ROW = re.compile(r"^\| (\d+) \| (.+?) \| (.*?) ?\|$", re.MULTILINE)


def kinds(root: type[errors.St2SensorError] = errors.St2SensorError) -> Iterator[type[errors.St2SensorError]]:
    yield root
    for kind in root.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield from kinds(kind)


def test_each_error_stands_in_the_table_once_with_its_code() -> None:
    rows = ROW.findall((DOCS / "exit-codes.md").read_text())
    listed = [(name, int(code)) for code, _, cell in rows for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(listed) == sorted((kind.__name__, kind.exit_code) for kind in set(kinds()))


def test_the_codes_of_errors_that_are_not_ours_are_in_the_table() -> None:
    codes = [int(code) for code, _, _ in ROW.findall((DOCS / "exit-codes.md").read_text())]
    assert codes == sorted(set(codes))
    assert {0, 2, 3, INTERNAL_ERROR, IO_ERROR, INTERRUPTED} <= {*codes}
