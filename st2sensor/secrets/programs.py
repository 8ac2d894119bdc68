"""Secrets that programs print, such as the client of a password manager."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from st2sensor.errors import SecretError, SecretUnavailable, WorkFailed
from st2sensor.secrets.source import MAX_SIZE, text_of
from st2sensor.system.environment import handed_on
from st2sensor.workers.limits import Limits
from st2sensor.workers.pool import Pool

FUNCTION = {"the program": "st2sensor.secrets.running:run"}

UNLIMITED = Limits(memory=1 << 46, request=1_000_000, answer=4 * MAX_SIZE)
"""The runtimes of some languages reserve far more addresses than they use."""

SLACK = 2.0
"""Seconds that the worker process has beyond the program's own time, to kill it."""


class Programs:
    """Runs allowed programs, as the container's user, and without the variables that belong to the container.

    :param environment: variables that programs get, except for private ones.
    :param private: further patterns for names that are withheld.
    :param allowed: absolute paths.
    :param timeout: seconds that a program may take.
    """

    def __init__(
        self, environment: Mapping[str, str], private: Sequence[str], allowed: Sequence[str], timeout: float
    ) -> None:
        self._environment = handed_on(environment, private)
        self._allowed = allowed
        self._timeout = timeout
        self._workers = Pool(FUNCTION, limits=UNLIMITED)

    def close(self) -> None:
        """End the worker processes."""
        self._workers.close()

    def check(self, arguments: tuple[str, ...]) -> None:
        program = arguments[0]
        if program not in self._allowed:
            raise SecretError(f"the program {program} is not in [secrets] exec_allowed; add its absolute path there")
        if not os.access(program, os.X_OK) or not os.path.isfile(program):
            raise SecretUnavailable(f"{program} is not a program that this user can run; install it")

    def read(self, arguments: tuple[str, ...]) -> str:
        self.check(arguments)
        program = arguments[0]
        request = [list(arguments), self._environment, self._timeout, MAX_SIZE + 1]
        try:
            answer = self._workers.run("the program", request, self._timeout + SLACK)
        except WorkFailed as failure:
            raise SecretUnavailable(f"{program} cannot be run: {failure}") from None
        error = answer.get("error")
        if error == "time":
            raise SecretUnavailable(f"{program} took more than {self._timeout:g} s ([secrets] timeout); it was killed")
        if error == "size":
            raise SecretError(f"{program} printed more than {MAX_SIZE:,} bytes; it must print the secret alone")
        if error:
            raise SecretUnavailable(f"{program} cannot be run: {error}")
        if answer["code"] != 0:
            raise SecretUnavailable(
                f"{program} ended with exit code {answer['code']}; run it by hand as the container's user"
            )
        return text_of(bytes.fromhex(answer["output"]), f"the output of {program}")
