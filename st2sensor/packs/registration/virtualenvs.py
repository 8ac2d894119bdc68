"""Makes the virtualenvs of many packs in parallel, because most of the time is spent waiting for a package index."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from st2sensor.errors import ContentError
from st2sensor.models import Pack
from st2sensor.packs.code import virtualenv
from st2sensor.packs.code.virtualenv import REQUIREMENTS, Progress
from st2sensor.packs.registration.outcome import Outcome, Result, failed

MAX_PARALLEL = 8
"""Maximum number of virtualenvs created at the same time, on any number of processors: each pip takes 100 MB."""


def set_up(packs: Sequence[Pack], folder: Path, *, recreate: bool, progress: Progress) -> list[Outcome]:
    """Make the virtualenvs that packs need. A failure does not stop the others.

    :param folder: the folder of all virtualenvs.
    :param recreate: also recreate existing ones.
    :param progress: receives one line at a time.
    """
    lock = Lock()
    total = sum((pack.path / REQUIREMENTS).exists() for pack in packs)
    done = 0

    def say(line: str) -> None:
        with lock:
            progress(line)

    def set_up_one(pack: Pack) -> list[Outcome]:
        nonlocal done
        outcomes = _of(pack, folder, recreate, say)
        if (pack.path / REQUIREMENTS).exists():
            with lock:
                done += 1
                state = outcomes[0].result.value if outcomes else Result.UNCHANGED.value
                progress(f"virtualenvs: {done} of {total}, {pack.ref} {state}")
        return outcomes

    pool = ThreadPoolExecutor(min(MAX_PARALLEL, 2 * (os.cpu_count() or 1)), "virtualenvs")
    try:
        running: list[Future[list[Outcome]]] = [pool.submit(set_up_one, pack) for pack in packs]
        return [outcome for future in running for outcome in future.result()]
    finally:
        # After an interruption, waiting packs are not started.
        pool.shutdown(cancel_futures=True)


def _of(pack: Pack, folder: Path, recreate: bool, progress: Progress) -> list[Outcome]:
    """Return the outcome for one pack; nothing for a pack that needs no virtualenv and has none."""
    exists = (folder / pack.ref).exists()
    try:
        made = virtualenv.set_up(pack, folder, recreate=recreate, progress=progress)
    except ContentError as error:
        return [failed("virtualenv", pack.ref, error)]
    result = Result.UNCHANGED if not made else Result.CHANGED if exists else Result.CREATED
    return [Outcome(kind="virtualenv", ref=pack.ref, result=result)] if made or exists else []
