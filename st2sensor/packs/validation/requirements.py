"""Checks a pack's requirements.txt: lines that pip would refuse, and packages that are not installed."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from st2sensor.errors import ContentError
from st2sensor.packs.code import virtualenv
from st2sensor.packs.validation.finding import Finding, Severity, found
from st2sensor.system import regular_file

NOT_INSTALLED = "not-installed"
"""The rule of findings about missing packages."""

COMMENT = re.compile(r"(^|\s+)#.*$")
OPTION = re.compile(r"\s--\w.*$")
INSTALL = "python -m pip install -r"
NESTED = re.compile(r"(?:-r|--requirement|-c|--constraint)[\s=]*(\S+)")
PLACE = re.compile(r"://|^\.{0,2}/|^[\w.-]+\s*@|\.(whl|zip|tar\.gz|tgz)$|\$\{")
"""Requirements that name a package by its location. They are not checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """The result of checking requirements.

    :param are_met: whether all of them are known to be installed for the pack.
    :param lacking: the canonical names of the packages that are not installed.
    """

    findings: tuple[Finding, ...]
    are_met: bool
    lacking: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    number: int
    text: str


def check(pack: str, folder: Path, virtualenvs: Path, *, is_configured: bool = True) -> Requirements:
    """Read a pack's requirements.

    :param folder: the pack's folder.
    :param is_configured: whether there is a configuration, as `st2ctl reload` needs it.
    """
    path = folder / virtualenv.REQUIREMENTS
    try:
        is_there = regular_file.is_there(path)
        lines = list(_lines(regular_file.read(path, virtualenv.LARGEST).decode())) if is_there else []
    except (OSError, UnicodeDecodeError) as exception:
        error = ContentError(f"cannot be read: {exception}; make it a readable UTF-8 file", file=str(path))
        return Requirements(findings=(found(pack, error, "requirement"),), are_met=False)
    findings, wanted, is_known = _read(pack, path, lines)
    installed = _Installed(virtualenvs / pack, None if is_configured else path)
    lacking = [(line, requirement) for line, requirement in wanted if not installed.has(requirement)]
    if lacking:
        findings.append(_not_installed(pack, path, lacking, installed))
    return Requirements(
        findings=tuple(findings),
        are_met=is_known and not lacking,
        lacking=frozenset(canonicalize_name(requirement.name) for _, requirement in lacking),
    )


def _read(pack: str, path: Path, lines: Sequence[_Line]) -> tuple[list[Finding], list[tuple[_Line, Requirement]], bool]:
    """Return the errors, the readable requirements, and whether these are all requirements."""
    findings, wanted, is_known = list[Finding](), list[tuple[_Line, Requirement]](), True
    for line in lines:
        try:
            requirement = _parsed(line, path)
        except ContentError as error:
            findings.append(found(pack, error, "requirement"))
            is_known = False
            continue
        if requirement is None:
            is_known = False
        else:
            wanted.append((line, requirement))
    return findings, wanted, is_known


def _not_installed(pack: str, path: Path, lacking: list[tuple[_Line, Requirement]], installed: _Installed) -> Finding:
    names = ", ".join(installed.lacks(requirement) for _, requirement in lacking)
    return Finding(
        pack=pack,
        file=str(path),
        line=lacking[0][0].number,
        severity=Severity.WARNING,
        rule=NOT_INSTALLED,
        message=f"{installed.where} lacks {names}, so the code may behave differently, or may fail to load; "
        f"{installed.remedy}",
    )


def _lines(text: str) -> Iterator[_Line]:
    """Yield lines without comments. Lines joined by a backslash are one line, with the number of the first."""
    start, joined = 0, ""
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        start = start if joined else number
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            joined += line[:-1]
            continue
        whole, joined = COMMENT.sub("", joined + line).strip(), ""
        if whole:
            yield _Line(number=start, text=whole)


def _parsed(line: _Line, path: Path) -> Requirement | None:
    """Return a requirement; None for an option or an address. Raises ContentError."""
    nested = NESTED.fullmatch(line.text)
    if nested is not None and not PLACE.search(nested[1]) and not (path.parent / nested[1]).is_file():
        message = f"there is no file {nested[1]} next to it; correct the name, or add the file"
        raise ContentError(message, file=str(path), line=line.number)
    if line.text.startswith("-") or PLACE.search(line.text):
        return None
    try:
        return Requirement(OPTION.sub("", line.text))
    except InvalidRequirement as exception:
        reason = str(exception).splitlines()[0]
        raise ContentError(
            f"{line.text!r} is not a requirement: {reason}; write one per line, as in requests>=2.5",
            file=str(path),
            line=line.number,
        ) from exception


def _shown(path: Path) -> str:
    """Return a path, relative to the working directory if it is inside it."""
    here = os.getcwd()
    return os.path.relpath(path) if path.is_relative_to(here) else str(path)


class _Installed:
    """The packages that the interpreter of a pack's code can import.

    :param home: the pack's virtualenv, if it has one.
    :param unconfigured: the file of requirements, if there is no configuration with which a virtualenv could be made.
    """

    def __init__(self, home: Path, unconfigured: Path | None) -> None:
        libraries = sorted(home.glob("lib/python3*/site-packages"))
        self._folders = [str(folder) for folder in libraries] or None
        self._version = {"python_version": libraries[0].parent.name.removeprefix("python")} if libraries else None
        self.where = f"the virtualenv {home}" if libraries else "this Python, used because there is no virtualenv,"
        # An existing virtualenv is set up again only after its requirements have changed.
        self.remedy = (
            "reinstall all requirements with: st2ctl reload --register-recreate-virtualenvs"
            if libraries
            else "make the pack's virtualenv with: st2ctl reload --register-setup-virtualenvs"
            if unconfigured is None
            else f"install them with: {INSTALL} {shlex.quote(_shown(unconfigured))}"
        )

    def has(self, requirement: Requirement) -> bool:
        """Return whether a requirement is met, or does not apply to this Python."""
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": "", **(self._version or {})}):
            return True
        version = self._version_of(requirement)
        return version is not None and requirement.specifier.contains(version, prereleases=True)

    def lacks(self, requirement: Requirement) -> str:
        """Return how a message names a requirement that is not met."""
        version = self._version_of(requirement)
        return str(requirement) if version is None else f"{requirement} (it has {version})"

    def _version_of(self, requirement: Requirement) -> str | None:
        """Return the installed version of a package, or None."""
        wanted = {"name": requirement.name}
        places = wanted if self._folders is None else {**wanted, "path": self._folders}
        installed = next(iter(metadata.distributions(**places)), None)
        return None if installed is None else installed.version
