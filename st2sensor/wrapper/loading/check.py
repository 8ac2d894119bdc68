"""Loads a sensor's code and reports the problem with it, in a process of its own."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Dict, Optional

from st2sensor.wrapper.loading import constructor, methods
from st2sensor.wrapper.loading.loader import LoadError, load_class

LONGEST = 4000
"""Maximum number of characters of a problem: it may be the message of any exception."""


def main(code: Dict[str, Any]) -> int:
    """Print one line of JSON: the `problem` (null when there is none), its kind, and its place.

    :param code: the code as the container describes it, with the `poll_interval` of the metadata.
    """
    # The output of the code must not be taken for the verdict.
    verdict_fd = os.dup(1)
    os.dup2(2, 1)
    problem: Optional[LoadError] = None
    try:
        found = load_class(code)
        constructor.check(found, code["poll_interval"], code["file"])
        methods.check(found, code["file"])
    except LoadError as error:
        problem = error
    verdict = {
        "problem": None if problem is None else str(problem)[:LONGEST],
        "kind": None if problem is None else problem.kind,
        "file": code["file"] if problem is None else problem.file,
        "line": None if problem is None else problem.line,
        "in_metadata": problem is not None and problem.in_metadata,
    }
    os.write(verdict_fd, json.dumps(verdict).encode() + b"\n")
    # Threads and exit handlers of the code do not matter here.
    sys.stdout.flush()
    os._exit(0)
