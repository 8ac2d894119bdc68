"""The past of one sensor since the container started, across all its processes."""

from __future__ import annotations

from dataclasses import dataclass

from st2sensor.reports import Notice, Poll

LONGEST = 16384
"""Maximum number of characters of an error. The last ones are kept: a traceback ends with its message."""


@dataclass(slots=True, kw_only=True)
class PastRuns:
    """The past of one sensor. Only the recorder changes it.

    :ivar dropped: number of lines of its log that were dropped.
    :ivar polls: number of poll() calls that ended, `failed_polls` of them with an error. They took `poll_seconds`.
    :ivar began: when the running poll() began, on the monotonic clock; None while none is running.
    """

    starts: int = 0
    last_exit: Notice | None = None
    last_error: Notice | None = None
    last_poll: Poll | None = None
    dropped: int = 0
    polls: int = 0
    failed_polls: int = 0
    poll_seconds: float = 0.0
    began: float | None = None

    @property
    def restarts(self) -> int:
        return max(0, self.starts - 1)

    def failed(self, text: str, at: float) -> None:
        """Keep an error.

        :param at: on the wall clock, as for `poll_begins`.
        """
        self.last_error = Notice(at=at, text=text[-LONGEST:])

    def poll_begins(self, at: float, now: float) -> None:
        self.began = now
        self.last_poll = Poll(at=at, seconds=0.0, running=True)

    def poll_ends(self, now: float, failed: bool = False) -> None:
        if self.began is None or self.last_poll is None:
            return
        seconds = now - self.began
        self.polls += 1
        self.failed_polls += failed
        self.poll_seconds += seconds
        self.last_poll = Poll(at=self.last_poll.at, seconds=seconds, running=False, failed=failed)
        self.began = None

    def poll_of(self, now: float) -> Poll | None:
        """Return the newest poll(), with the time it has taken so far."""
        if self.began is None or self.last_poll is None:
            return self.last_poll
        return Poll(at=self.last_poll.at, seconds=now - self.began, running=True)
