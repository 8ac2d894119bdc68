"""The process of a running sensor, with everything that the container keeps for as long as the process lives."""

from __future__ import annotations

from st2sensor.container.launch.cgroup import Cgroup
from st2sensor.container.launch.handle import Handle
from st2sensor.container.sessions.activity import Activity
from st2sensor.container.supervision import memory
from st2sensor.container.supervision.child import describe_end
from st2sensor.container.supervision.output import Output
from st2sensor.container.supervision.watchdog import Watchdog


class Run:
    """For the loop's thread.

    :param token: the secret with which the wrapper identifies itself.
    :param cgroup: the sensor's own control group; None if there are no control groups.
    :ivar log_level: the log level that was last sent to the sensor.
    """

    def __init__(
        self, process: Handle, output: Output, watchdog: Watchdog, *, token: str, cgroup: Cgroup | None
    ) -> None:
        self.process = process
        self.output = output
        self.watchdog = watchdog
        self.token = token
        self.cgroup = cgroup
        self.log_level = 0
        self.activity = Activity()

    def reap(self) -> int:
        """Collect the exit code of the ended process, and the rest of its output."""
        self.watchdog.close()
        code = self.process.reap()
        self.output.close()
        return code

    def end(self, code: int, memory_limit: int | None, *, is_asked: bool) -> str:
        """Return the end of the process in words.

        :param code: the exit code, negative for a signal.
        :param memory_limit: bytes.
        :param is_asked: whether it was asked to stop.
        """
        if self.cgroup is not None and self.cgroup.was_out_of_memory:
            return f"was killed because it used more memory than its {memory.shown(memory_limit or 0)}"
        how = describe_end(code, is_asked=is_asked)
        error = self.output.last_error if code != 0 and not is_asked else ""
        return f"{how} ({error})" if error else how
