"""The README's pictures, of the real status page and the real `st2sensor dev`: `make pictures` makes them again."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from tests.plugins.patience import LATER
from tests.support.browser import Browser
from tests.support.servers.waiting import eventually
from tests.support.workspace import ROOT, environment

PAGE, DEV = "page.png", "dev.svg"

SENSOR = "disk.UsageSensor"
"""The README's first sensor."""

WIDTH, HEIGHT, COLUMNS = 1100, 560, 100

SVG = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
"""Without fonts from elsewhere: the picture needs no network."""


def page(folder: Path, browser: Browser) -> Path:
    """Take a picture of the status page of the demonstration; return the file."""
    home = Path(tempfile.mkdtemp(dir=folder))
    with Running(["st2sensor", "demo"], home, PYTHONUNBUFFERED="1") as demo:
        demo.wait_for("demo.attempt")
        (address,) = re.findall(r"status page +(\S+)", demo.text)
        demo.wait_for("FragileSensor runs again")
        browser.driver.set_window_size(WIDTH, HEIGHT)
        browser.open(address)
        browser.wait_for("body", "demo.FragileSensor", LATER)
        browser.wait_for("body", "demo.PortsSensor", LATER)
        path = folder / PAGE
        path.write_bytes(browser.driver.get_screenshot_as_png())
        return path


def dev(folder: Path) -> Path:
    """Draw what a terminal shows while the README's first sensor is written; return the file."""
    home = Path(tempfile.mkdtemp(dir=folder))
    readme = (ROOT / "README.md").read_text()
    subprocess.run(
        [sys.executable, "-m", "st2sensor", "init", "disk"], cwd=home, check=True, capture_output=True, timeout=LATER
    )
    with Running(["st2sensor", "dev", "disk"], home, FORCE_COLOR="1", COLUMNS=str(COLUMNS)) as running:
        running.wait_for("disk.tick")
        for language, suffix in (("python", "py"), ("yaml", "yaml")):
            (text,) = re.findall(rf"```{language}\n(.*?UsageSensor.*?)```", readme, re.DOTALL)
            (home / "disk" / "sensors" / f"usage_sensor.{suffix}").write_text(text)
        running.wait_for("disk.usage")
        running.wait_for("disk.usage", 3)
        text = running.text
    console = Console(record=True, width=COLUMNS, file=(home / "printed").open("w"), color_system="truecolor")
    with closing(console.file):
        console.print(Text("$ st2sensor dev disk", "bold"))
        for line in text.splitlines():
            drawn = Text.from_ansi(line.replace(str(home), "/home/me"))
            drawn.truncate(COLUMNS, overflow="ellipsis")
            console.print(drawn)
    path = folder / DEV
    path.write_text(console.export_svg(title="st2sensor dev", theme=MONOKAI, code_format=SVG, unique_id="dev"))
    return path


class Running:
    """A command in a home of its own, and what it has printed."""

    def __init__(self, command: list[str], home: Path, **variables: str) -> None:
        self._output = home / "output"
        cache = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
        with self._output.open("w") as stream:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=home,
                env={**environment(), **cache, **variables},
                stdout=stream,
                stderr=stream,
            )

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait(LATER)

    @property
    def text(self) -> str:
        return self._output.read_text()

    def wait_for(self, text: str, times: int = 1) -> None:
        eventually(f"{text!r} is printed", lambda: self.text.count(text) >= times, LATER)


def main(folder: Path) -> None:
    """Make both pictures in a folder."""
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        with closing(Browser(work / "browser")) as browser:
            made = [page(work, browser), dev(work)]
        for path in made:
            (folder / path.name).write_bytes(path.read_bytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
