"""The guides' statements about the project itself: its folders, its threads, its words, and its other guides."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.guides import DOCS
from tests.support.workspace import ROOT
from tests.test_layers import ORDER, PACKAGE

PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
GUIDES = [path for path in sorted(DOCS.glob("*.md")) if path.name not in ("README.md", "configuration.md")]
"""Pages of the documentation that are written by hand."""

ARCHITECTURE = (DOCS / "architecture.md").read_text()

TERMS = {
    *("sensor", "container", "wrapper", "zygote", "outbox", "history", "dead letter", "lease", "fence", "node"),
    *("instance", "trigger type", "trigger", "event"),
}
"""Words that must have one meaning everywhere."""

THREADS = re.compile(r"\bThread\(|\bThreads\(\w|\bThreadPoolExecutor\(|start_new_thread\(")
"""How a thread is started."""

MADE_BY_STEPS = {"st2sensor/cli/commands/ping.py", "tests/unit/cli/commands/test_ping.py"} | {
    f"st2sensor/{port}" for port in ("storage/NAME/", "transport/NAME.py")
}
"""Files that the steps in CONTRIBUTING.md create."""

page = pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


def section(text: str, title: str) -> str:
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def tables(text: str) -> list[list[list[str]]]:
    """The rows of each table, each as the names between backquotes in its first column."""
    return [
        [re.findall(r"`([\w/]+)`", line.split("|")[1]) for line in table.splitlines()[2:]]
        for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    ]


def in_order(folder: str) -> list[set[str]]:
    """The lines of ORDER."""
    return [set(line.split()) for line in ORDER[folder].splitlines() if line.strip()]


def slug(heading: str) -> str:
    """The anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_the_folders_are_those_of_the_layers_in_their_order() -> None:
    package, container = tables(section(ARCHITECTURE, "The folders"))
    assert [set(row) for row in package] == in_order("")
    folders = [{name for name in line if (PACKAGE / "container" / name).is_dir()} for line in in_order("container")]
    assert [set(row) for row in container] == [line for line in folders if line]


def test_every_place_that_starts_a_thread_is_in_the_table() -> None:
    table = section(ARCHITECTURE, "Threads")
    starting = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if THREADS.search(path.read_text())]
    named = re.findall(r"`([\w/]+(?:\.py|/))`", table)
    unnamed = [
        str(path)
        for path in starting
        if str(path) != "system/threads.py" and not any(str(path).endswith(name) or name in str(path) for name in named)
    ]
    assert not unnamed


def test_the_modules_that_the_architecture_names_exist() -> None:
    modules = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py")}
    named = set(re.findall(r"`([\w/]+\.py)`", ARCHITECTURE))
    assert {name for name in named if not any(f"/{module}".endswith(f"/{name}") for module in modules)} == {
        "tests/test_layers.py"
    }


def test_the_files_that_the_steps_for_contributors_name_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = set(re.findall(r"`((?:st2sensor|tests|conf|docs)/[\w./-]*)`", text)) - MADE_BY_STEPS
    assert not [name for name in named if not (ROOT / name).exists()]


def test_every_guide_is_on_the_map() -> None:
    for folder in (DOCS, DOCS / "decisions"):
        on_map = set(re.findall(r"\]\(([\w.-]+\.md)\)", (folder / "README.md").read_text()))
        assert {path.name for path in folder.glob("*.md")} - {"README.md"} <= on_map


@page
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        assert target.exists(), link
        headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE) if anchor else []
        assert not anchor or anchor in map(slug, headings), link


@page
def test_a_page_is_short(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines < 300, f"{path.name} has {lines} lines: move a section to a page of its own"


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.name)
def test_a_guide_ends_with_the_next_one(path: Path) -> None:
    *_, before, last = path.read_text().strip().split("\n\n")
    assert before == "## Where to go next" or last.startswith("Next: ")
    assert "](" in last


def test_a_word_has_one_meaning() -> None:
    words = re.findall(r"^\| ([a-z ]+) \|", (DOCS / "glossary.md").read_text(), re.MULTILINE)
    words = [word for word in words if word != "word"]
    assert len(words) == len(set(words))
    assert set(words) >= TERMS
