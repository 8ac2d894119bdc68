"""The two meanings of Ctrl-C: an exception while a command runs, and before and after it the end of the program.

Python raises an exception from its start on. So a Ctrl-C while modules are imported, or while Python ends, would print
a traceback.
"""

from __future__ import annotations

import signal


def end() -> None:
    """Make SIGINT end the program, as it ends most programs, unless it is ignored or handled otherwise."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def handle() -> bool:
    """Make SIGINT raise KeyboardInterrupt, if it would end the program. Return whether it would have.

    Call this in the main thread, unless SIGINT has another meaning already.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_DFL:
        return False
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return True
