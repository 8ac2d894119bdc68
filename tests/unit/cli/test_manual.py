"""Man pages from the help."""

from __future__ import annotations

from pathlib import Path

from st2sensor.cli import manual


def test_a_page_has_all_that_the_help_has(tmp_path: Path) -> None:
    written = {path.name: path.read_text() for path in manual.write(tmp_path / "man1")}
    page = written["st2sensor-init.1"]
    assert page.splitlines()[1:3] == [".SH NAME", "st2sensor\\-init \\- Create a pack in a new folder PACK"]
    assert ".B st2sensor init\n[OPTIONS] PACK\n" in page
    assert ".TP\n.B \\-\\-polling\n" in page
    assert ".SH EXAMPLES\n.PP\n.nf\nst2sensor init incoming \\-\\-polling\n" in page
    assert page.endswith(".SH SEE ALSO\nst2sensor(1)\n")
    assert ".B st2sensor\\-init(1)\nCreate a pack" in written["st2sensor.1"]
    assert "st2ctl-reload.1" in written


def test_no_line_of_text_can_be_taken_for_a_request() -> None:
    assert manual._escaped(".PP") == "\\&.PP"
    assert manual._escaped("'quoted'") == "\\&'quoted'"
    assert manual._escaped("C:\\new --fresh") == "C:\\enew \\-\\-fresh"


def test_every_line_that_begins_with_a_dot_is_a_request_that_is_meant(tmp_path: Path) -> None:
    known = {".TH", ".SH", ".PP", ".TP", ".B", ".nf", ".fi"}
    for path in manual.write(tmp_path):
        starts = {line.split()[0] for line in path.read_text().splitlines() if line.startswith((".", "'"))}
        assert starts <= known, path
