"""The command line: a module with `main(argv=None) -> int` for each program, and the code of their commands."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    # They take longer to load than the rest, and Ctrl-C may come before the functions below are in place.
    from types import TracebackType
    from typing import Any


def _report(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)


def _report_unraisable(unraisable: Any) -> None:
    if unraisable.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(unraisable)


# Ctrl-C can come at any time: also while a program is still being imported, and while Python ends.
if sys.excepthook is sys.__excepthook__:
    sys.excepthook = _report
if sys.unraisablehook is sys.__unraisablehook__:
    sys.unraisablehook = _report_unraisable
