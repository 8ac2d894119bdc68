"""The README's pictures can be made again, and are those of today's page and today's `dev`."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests import pictures
from tests.support.browser import Browser
from tests.support.workspace import ROOT

README = (ROOT / "README.md").read_text()


def size_of(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    return int.from_bytes(png[16:20]), int.from_bytes(png[20:24])


def words_of(svg: Path) -> str:
    """Return all text of a picture, in single blanks."""
    return " ".join(" ".join(ElementTree.parse(svg).getroot().itertext()).replace("\xa0", " ").split())


def test_the_readme_shows_the_pictures_that_are_there() -> None:
    shown = re.findall(r"!\[[^\]]+\]\((\S+)\)", README)
    assert sorted(shown) == sorted(f"docs/pictures/{name}" for name in (pictures.PAGE, pictures.DEV))
    # Nothing is loaded from elsewhere.
    assert "url(http" not in (ROOT / "docs" / "pictures" / pictures.DEV).read_text()


@pytest.mark.soak(minutes=2)
def test_the_terminal_is_drawn_as_the_readme_shows_it(tmp_path: Path) -> None:
    drawn = words_of(pictures.dev(tmp_path))
    for text in ("$ st2sensor dev disk", "disk.UsageSensor started", "trigger disk.usage", "percent"):
        assert text in drawn
        assert text in words_of(ROOT / "docs" / "pictures" / pictures.DEV)


@pytest.mark.soak(minutes=2)
def test_the_page_is_photographed_with_its_sensors(tmp_path: Path, browser: Browser) -> None:
    made = pictures.page(tmp_path, browser).read_bytes()
    kept = (ROOT / "docs" / "pictures" / pictures.PAGE).read_bytes()
    assert size_of(made) == size_of(kept)
    # An empty page would compress to much less.
    assert min(len(made), len(kept)) > 20_000
