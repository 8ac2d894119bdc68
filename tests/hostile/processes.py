"""Hostile processes: harm that a sensor may do to itself, its threads, its output and its host."""

from __future__ import annotations

import os

from tests.hostile.case import Case, polling, running

LIMITED = {"run_as": "nobody", "processes": 60}

PROCESSES = [
    Case(name="it ends at once", code=running("os._exit(3)"), said="starts again", quick=True),
    Case(
        name="it dies of a segmentation fault",
        code=running("import ctypes\nctypes.string_at(0)"),
        said="SIGSEGV",
        quick=True,
    ),
    Case(
        name="it calls itself without end",
        code=running("sys.setrecursionlimit(10**9)\ndef again(n):\n    return again(n + 1) + 1\nagain(0)", "sys"),
        overrides={"memory": "120M"},
        said="starts again|RecursionError",
        quick=True,
    ),
    Case(name="it stops itself", code=running("os.kill(0, 19)", "os"), quick=True),
    Case(name="it stops itself alone", code=running("os.kill(os.getpid(), 19)\ntime.sleep(1000)")),
    Case(
        name="it ignores every signal",
        code=running(
            "for number in range(1, 65):\n"
            "    try:\n"
            "        signal.signal(number, signal.SIG_IGN)\n"
            "    except (OSError, ValueError):\n"
            "        pass\n"
            "while True:\n"
            "    try:\n"
            "        time.sleep(1000)\n"
            "    except BaseException:\n"
            "        pass",
            "signal, time",
        ),
        config="stop_timeout = 3",
    ),
    Case(
        name="a storm of signals",
        code=running(
            "if os.fork() == 0:\n"
            "    while True:\n"
            "        os.kill(os.getppid(), 10)\n"
            "signal.signal(10, lambda *_: None)\n"
            "while True:\n"
            "    self.sensor_service.dispatch('hostile.event', {})",
            "os, signal",
        ),
    ),
    Case(
        name="a fork bomb",
        code=running("while True:\n    try:\n        os.fork()\n    except OSError:\n        time.sleep(0.1)"),
        overrides=LIMITED if os.geteuid() == 0 else {"processes": 60},
    ),
    Case(
        name="threads without end",
        code=running(
            "while True:\n"
            "    try:\n"
            "        threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()\n"
            "    except RuntimeError:\n"
            "        time.sleep(0.1)",
            "threading, time",
        ),
        overrides=LIMITED if os.geteuid() == 0 else {"processes": 60},
    ),
    Case(
        name="it opens every file it may",
        code=running(
            "files = []\nwhile True:\n    try:\n        files.append(open('/dev/null'))\n"
            "    except OSError:\n        time.sleep(0.1)"
        ),
        overrides={"open_files": 100},
    ),
    Case(
        name="it eats memory",
        code=running("eaten = []\nwhile True:\n    eaten.append(bytearray(5_000_000))\n    time.sleep(0.05)"),
        overrides={"memory": "80M"},
        said="of memory, more than its|more memory than its",
    ),
    Case(name="it computes without end", code=running("while True:\n    pass"), quick=True),
    Case(
        name="setup() hangs",
        code="import time\nclass Hostile(Sensor):\n    def setup(self):\n        time.sleep(1000)",
        said=r"setup\(\)",
    ),
    Case(name="poll() hangs", code=polling("time.sleep(1000)"), said=r"poll\(\)"),
    Case(
        name="cleanup() hangs",
        code="import time\nclass Hostile(Sensor):\n    def run(self):\n        time.sleep(1000)\n"
        "    def cleanup(self):\n        time.sleep(1000)",
        config="stop_timeout = 3",
    ),
    Case(name="it closes all its files", code=running("os.closerange(0, 1000)\ntime.sleep(1000)")),
    Case(
        name="output without end",
        code=running("while True:\n    os.write(1, b'x' * 200 + b'\\n')"),
        said=r"more lines|lines were",
        quick=True,
    ),
    Case(name="output without a line", code=running("while True:\n    os.write(1, b'x' * 65536)")),
    Case(name="output of binary data", code=running("while True:\n    os.write(2, os.urandom(4096))")),
    Case(
        name="a record of 50 MB",
        code=polling('self.sensor_service.get_logger("x").warning("x" * 50_000_000)'),
        said="xxx",
    ),
    Case(
        name="a logger that logs without end",
        code=running('logger = self.sensor_service.get_logger("x")\nwhile True:\n    logger.error("%d", time.time())'),
    ),
    Case(
        name="an exception of 10 MB",
        code=running('raise RuntimeError("x" * 10_000_000)'),
        said="RuntimeError",
    ),
]
