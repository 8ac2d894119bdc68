"""Counts from outside what a container holds: processes, threads, file descriptors, files, queues and memory."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import psutil

from tests.support.servers.rabbitmq import RabbitMQ
from tests.support.workspace import Container, Workspace


@dataclass(frozen=True, kw_only=True)
class Census:
    """The numbers at one moment.

    :param others: processes besides wrappers and zygotes.
    :param zombies: processes that the container has not collected; a sensor's own children do not count.
    :param state: files in the state directory.
    :param files: files that the container has open.
    :param memory: MB of the container, RSS.
    """

    wrappers: int
    others: int
    zombies: int
    threads: int
    files: int
    temporary: int
    state: int
    queues: int
    memory: float


def take(workspace: Workspace, container: Container, broker: RabbitMQ) -> Census:
    """Count."""
    process = psutil.Process(container.process.pid)
    family = process.children(recursive=True)
    dead = {child.pid for child in family if state_of(child) != "alive"}
    zygotes = container.zygotes()
    wrappers = container.wrappers()
    return Census(
        wrappers=len(wrappers),
        others=len(family) - len(dead) - len(wrappers) - len(zygotes),
        zombies=len([child for child in process.children() if state_of(child) == psutil.STATUS_ZOMBIE]),
        threads=process.num_threads(),
        files=process.num_fds(),
        temporary=len(list(workspace.temporary.iterdir())),
        state=len([path for path in workspace.state.rglob("*") if not path.is_dir()]),
        queues=len(broker.control("list_queues", "--quiet", "--no-table-headers", "name").splitlines()),
        memory=round(process.memory_info().rss / 1e6, 1),
    )


def state_of(process: psutil.Process) -> str:
    """`alive`, `gone`, or psutil's word for a zombie."""
    try:
        status = str(process.status())
    except psutil.NoSuchProcess:
        return "gone"
    return status if status == psutil.STATUS_ZOMBIE else "alive"


def leaks(before: Census, after: Census, *, memory: float) -> list[str]:
    """Return descriptions of the numbers that have grown.

    :param memory: MB by which memory may grow, because allocators keep freed memory.
    """
    found = []
    for name, was in asdict(before).items():
        now = asdict(after)[name]
        if now > was + (memory if name == "memory" else 0):
            found.append(f"{name}: {was} before, {now} after")
    return found
