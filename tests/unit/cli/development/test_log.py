"""The log of a container, as `st2sensor dev` shows it."""

from __future__ import annotations

import io
import json
from pathlib import Path

from rich.console import Console

from st2sensor.cli.development.folder import Folder
from st2sensor.cli.development.log import Log
from st2sensor.cli.development.screen import Screen


def folder_of(path: Path, **packs: Path) -> Folder:
    return Folder(path=path, home=path, packs=packs, configs={})


def plain_screen() -> tuple[Screen, io.StringIO]:
    stream = io.StringIO()
    return Screen(Console(file=stream, width=100, highlight=False)), stream


def line(name: str, message: str, level: int = 6) -> bytes:
    fields = {"timestamp_f": 0.0, "level": level, "full_message": message, "_python": {"name": name}}
    return json.dumps(fields).encode() + b"\n"


def shown(*lines: bytes) -> list[str]:
    screen, stream = plain_screen()
    Log(folder_of(Path("/s"), sample=Path("sample")), screen).follow(io.BytesIO(b"".join(lines)))
    return [text.partition("  ")[2] for text in stream.getvalue().splitlines()]


def test_the_log_tells_sensors_from_the_container() -> None:
    assert shown(
        line("sample.One.One", "hello"),
        line("sample.One.library", "careful", 4),
        line("st2sensor.supervision", "sample.One started, pid 5"),
        line("st2sensor.supervision", "sample.One: poll() has taken more than 5 s", 3),
        line("st2sensor.container", "stopping 1 sensors"),
        line("st2sensor.dispatch", "sample.One dispatched x, which is kept as a dead letter: it is wrong", 4),
        line("st2sensor.delivery", "connected to local"),
        b"not a record\n",
    ) == [
        "info       sample.One    hello",
        "warning    sample.One.library  careful",
        "sensor     sample.One    started, pid 5",
        "error      sample.One    poll() has taken more than 5 s",
        "container  stopping 1 sensors",
        "container  not a record",
    ]


def test_tracebacks_are_kept_together_logged_or_printed() -> None:
    traceback = ["Traceback (most recent call last):", '  File "/s/packs/sample/sensors/x.py", line 3, in poll']
    assert shown(
        line("sample.One", "\n".join(["it failed", *traceback, "ValueError: no"]), 3),
        line("sample.One", traceback[0]),
        line("sample.Two", "between"),
        line("sample.One", traceback[1]),
        line("sample.One", "KeyError: 5"),
        line("sample.One", "after"),
    ) == [
        "error      sample.One    it failed",
        "        Traceback (most recent call last):",
        '          File "sample/sensors/x.py", line 3, in poll',
        "        ValueError: no",
        "info       sample.Two    between",
        "error      sample.One    Traceback (most recent call last):",
        '          File "sample/sensors/x.py", line 3, in poll',
        "        KeyError: 5",
        "info       sample.One    after",
    ]


def test_a_sensor_that_waits_for_its_requirements_is_not_shown_as_failing() -> None:
    waits = "sample.One cannot be started: /s/packs/sample/requirements.txt: the requirements of pack sample are being"
    again = [
        line("st2sensor.supervision", f"{waits} installed; its sensors can start once that is done, starts again"),
        line("st2sensor.supervision", "sample.One keeps failing: 3 times in a row; restarts go on forever", 4),
        # The installation may begin while the sensor starts.
        line(
            "sample.One",
            "/s/packs/sample/requirements.txt: the requirements of pack sample are being installed; its",
            3,
        ),
    ]
    assert shown(*again, line("st2sensor.supervision", "sample.One started, pid 5"), again[1]) == [
        "sensor     sample.One    started, pid 5",
        "warning    sample.One    keeps failing: 3 times in a row; restarts go on forever",
    ]
