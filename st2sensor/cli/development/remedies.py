"""Remedies as `st2sensor dev` gives them: its messages come from production, where other commands help."""

from __future__ import annotations

from pathlib import Path

WITH_VIRTUALENV = {
    "add it to the pack's requirements.txt and run st2ctl reload --register-setup-virtualenvs": (
        "add it to the pack's requirements.txt; dev installs it"
    ),
    "reinstall all requirements with: st2ctl reload --register-recreate-virtualenvs": (
        "delete {virtualenvs}, and start dev again: it installs all requirements"
    ),
    "and make it again with: st2ctl reload --register-setup-virtualenvs": "and save requirements.txt again",
    "make it with: st2ctl reload --register-setup-virtualenvs": "save requirements.txt again: dev installs it",
}

WITHOUT_VIRTUALENV = {
    "add it to the pack's requirements.txt and run st2ctl reload --register-setup-virtualenvs": (
        "add it to the pack's requirements.txt, and start dev without --no-virtualenv: it installs it"
    ),
    "reinstall all requirements with: st2ctl reload --register-recreate-virtualenvs": (
        "start dev without --no-virtualenv: it installs all requirements"
    ),
    "make it with: st2ctl reload --register-setup-virtualenvs": "start dev again: it makes an empty one",
}

ALWAYS = {"set [packs] enable_common_libs = True in st2.conf": "start dev with --common-libs"}


def here(text: str, home: Path, *, virtualenvs: bool) -> str:
    """Return a message with remedies that work in `st2sensor dev`.

    :param home: the state folder.
    :param virtualenvs: whether requirements are installed.
    """
    for there, remedy in {**(WITH_VIRTUALENV if virtualenvs else WITHOUT_VIRTUALENV), **ALWAYS}.items():
        text = text.replace(there, remedy.format(virtualenvs=home / "virtualenvs"))
    return text
