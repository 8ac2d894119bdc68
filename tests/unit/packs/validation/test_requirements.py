"""A pack's requirements.txt: lines that pip would refuse, and packages that are missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from st2sensor.packs.validation.finding import Severity
from st2sensor.packs.validation.requirements import NOT_INSTALLED, Requirements, check


def checked(folder: Path, text: str | bytes) -> Requirements:
    pack = folder / "pack"
    pack.mkdir(exist_ok=True)
    (pack / "requirements.txt").write_bytes(text.encode() if isinstance(text, str) else text)
    return check("p", pack, folder / "virtualenvs")


def install(folder: Path, name: str, version: str) -> None:
    """Put a package into the pack's virtualenv."""
    libraries = folder / "virtualenvs" / "p" / "lib" / "python3.9" / "site-packages"
    info = libraries / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def test_a_pack_without_requirements_meets_them(tmp_path: Path) -> None:
    assert check("p", tmp_path, tmp_path) == Requirements(findings=(), are_met=True)
    assert checked(tmp_path, "# nothing\n\n  # at all\n") == Requirements(findings=(), are_met=True)


def test_what_this_python_has_is_met_and_what_it_lacks_is_reported_with_its_line(tmp_path: Path) -> None:
    assert checked(tmp_path, "pytest>=1\n").are_met
    found = checked(tmp_path, "pytest>=1\n\nno-such-package-1 # why\npytest>99999\n")
    (finding,) = found.findings
    assert not found.are_met
    assert (finding.rule, finding.severity, finding.line) == (NOT_INSTALLED, Severity.WARNING, 3)
    assert finding.message == (
        f"this Python, used because there is no virtualenv, lacks no-such-package-1, pytest>99999 (it has "
        f"{pytest.__version__}), so the code may behave differently, or may fail to load; make the pack's virtualenv "
        "with: st2ctl reload --register-setup-virtualenvs"
    )


def test_without_a_configuration_pip_is_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    checked(tmp_path, "No_Such.Package>1\n")
    found = check("p", tmp_path / "pack", tmp_path / "virtualenvs", is_configured=False)
    assert found.findings[0].message.endswith("; install them with: python -m pip install -r pack/requirements.txt")
    assert found.lacking == {"no-such-package"}


def test_the_virtualenv_of_the_pack_counts_and_its_python(tmp_path: Path) -> None:
    install(tmp_path, "colour", "1.2")
    assert checked(tmp_path, "colour==1.2\n").are_met
    assert checked(tmp_path, "missing; python_version >= '3.10'\n").are_met
    (finding,) = checked(tmp_path, "colour<1\nmissing; python_version < '3.10'\n").findings
    assert f"the virtualenv {tmp_path}/virtualenvs/p lacks colour<1 (it has 1.2), missing" in finding.message
    # Setting up an existing virtualenv installs nothing while its requirements are the same.
    assert "--register-recreate-virtualenvs" in finding.message
    # Packages of this Python are not in the virtualenv.
    assert not checked(tmp_path, "pytest\n").are_met


def test_a_version_before_its_release_counts(tmp_path: Path) -> None:
    install(tmp_path, "colour", "2.0b1")
    assert checked(tmp_path, "colour>=1\n").are_met


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://example.com/simple",
        "-e ./here",
        "git+https://example.com/x.git",
        "./colour-1.2.tar.gz",
        "colour @ https://example.com/colour.whl",
        "colour-1.2-py3-none-any.whl",
        "${PLACE}/colour",
    ],
)
def test_requirements_that_cannot_be_checked_are_neither_met_nor_wrong(tmp_path: Path, line: str) -> None:
    assert checked(tmp_path, f"pytest\n{line}\n") == Requirements(findings=(), are_met=False)


def test_options_of_a_requirement_are_ignored_and_lines_are_joined(tmp_path: Path) -> None:
    assert checked(tmp_path, "pytest>=1 \\\n  --hash=sha256:00 \\\n  --hash=sha256:01\n").are_met
    (finding,) = checked(tmp_path, "pytest\\\n>=1\n# ends with \\\nno such \\\n  thing\n").findings
    assert (finding.line, finding.rule, finding.severity) == (4, "requirement", Severity.ERROR)
    assert "is not a requirement" in finding.message
    assert "write one per line, as in requests>=2.5" in finding.message


@pytest.mark.parametrize("option", ["-r", "--requirement ", "-c ", "--constraint="])
def test_a_file_that_is_named_must_be_there(tmp_path: Path, option: str) -> None:
    (finding,) = checked(tmp_path, f"{option}more.txt\n").findings
    assert (finding.line, finding.message) == (
        1,
        "there is no file more.txt next to it; correct the name, or add the file",
    )
    (tmp_path / "pack" / "more.txt").touch()
    assert checked(tmp_path, f"{option}more.txt\n") == Requirements(findings=(), are_met=False)
    assert checked(tmp_path, f"{option}https://example.com/more.txt\n").findings == ()


def test_a_file_that_cannot_be_decoded_is_an_error(tmp_path: Path) -> None:
    found = checked(tmp_path, b"caf\xe9\n")
    (finding,) = found.findings
    assert not found.are_met
    assert (finding.rule, finding.line) == ("requirement", None)
    assert "make it a readable UTF-8 file" in finding.message
