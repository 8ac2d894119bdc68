"""Finds and makes a pack's virtualenv, `<base_path>/virtualenvs/<pack>`."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from st2sensor.errors import ContentError
from st2sensor.models import Pack
from st2sensor.packs.yaml_files import File, read
from st2sensor.system import regular_file
from st2sensor.system.environment import handed_on

REQUIREMENTS = "requirements.txt"

VERSIONS = "python_versions"
"""Key of pack.yaml that lists the versions of Python that the pack runs on."""

MARK = "st2sensor-requirements"
"""File in a virtualenv that records the requirements installed into it."""

LARGEST = 1_000_000
"""Maximum number of bytes of the files that this module reads."""

LAST_LINES = 8
"""Lines of pip's output that a message shows."""

LONGEST_LINE = 500
"""Characters of a line of pip's output that a message shows."""

PRIVATE = ("PYTHON*",)
"""Variables that pip does not get, because it runs the code of requirements."""

LOCK_ATTEMPTS, LOCK_DELAY = 20, 0.01
"""Maximum number of attempts to lock a virtualenv, and seconds between two."""

IN_PROGRESS = "are being installed"
"""Words in the reason why a sensor does not start while its pack's requirements are installed."""

Progress = Callable[[str], None]
"""Receives one line of progress at a time."""


def interpreter(virtualenvs: Path, pack: str) -> Path:
    """Return the interpreter of a pack's virtualenv, or this process's own if there is none."""
    own = virtualenvs / pack / "bin" / "python"
    return own if own.exists() else Path(sys.executable)


def check(virtualenvs: Path, pack: str, folder: Path) -> None:
    """Raise ContentError if a pack has requirements and no virtualenv, or one into which they are just being installed.

    :param folder: the pack's folder.
    """
    if _is_being_made(virtualenvs, pack):
        raise ContentError(
            f"the requirements of pack {pack} {IN_PROGRESS}; its sensors can start once that is done",
            file=str(folder / REQUIREMENTS),
        )
    # The virtualenv comes first, because this runs at every start, and most packs have one.
    if not (virtualenvs / pack / "bin" / "python").exists() and requirements(folder):
        failure = _failure(virtualenvs, pack)
        if failure is not None:
            raise failure
        raise ContentError(
            f"pack {pack} has requirements and no virtualenv at {virtualenvs / pack}; "
            "make it with: st2ctl reload --register-setup-virtualenvs",
            file=str(folder / REQUIREMENTS),
        )


def requirements(folder: Path) -> str:
    """Return the lines of a pack's requirements without comments. Raises ContentError."""
    path = folder / REQUIREMENTS
    try:
        lines = regular_file.read(path, LARGEST).decode().splitlines() if regular_file.is_there(path) else []
    except (OSError, UnicodeDecodeError) as exception:
        raise ContentError(f"cannot be read: {exception}; make it a readable UTF-8 file", file=str(path)) from exception
    return "\n".join(line.strip() for line in lines if line.strip() and not line.strip().startswith("#"))


def mark(virtualenvs: Path, pack: str) -> str:
    """Return a text that changes whenever `set_up` creates a pack's virtualenv or installs something into it."""
    path = virtualenvs / pack / MARK
    return regular_file.read(path, LARGEST).decode() if path.is_file() else ""


def set_up(pack: Pack, virtualenvs: Path, *, recreate: bool, progress: Progress) -> bool:
    """Make a pack's virtualenv and install its requirements. Return False if there was nothing to do.

    As in StackStorm, an existing virtualenv is kept. Packs without requirements get none. Raises ContentError with the
    output of pip, and records it for `check`.

    :param recreate: recreate an existing virtualenv; if that fails, the old one is kept.
    """
    note = failure_note(virtualenvs, pack.ref)
    try:
        is_made = _set_up(pack, virtualenvs, recreate=recreate, progress=progress)
    except ContentError as error:
        with suppress(OSError):
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(json.dumps({"message": error.message, "file": error.file, "line": error.line}))
        raise
    with suppress(OSError):
        note.unlink(missing_ok=True)
    return is_made


def failure_note(virtualenvs: Path, pack: str) -> Path:
    """Return the file that notes why a pack's virtualenv could not be made."""
    return virtualenvs / f".{pack}.failure"


@contextmanager
def _making(virtualenvs: Path, pack: str) -> Iterator[None]:
    """Keep sensors of a pack from starting while its virtualenv is made. The lock ends with this process."""
    path = _lock_of(virtualenvs, pack)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
    except OSError:
        # Making the virtualenv fails as well, if it is necessary, and says why.
        yield
        return
    try:
        # A start holds the lock for a moment only. Another process that makes the same virtualenv also keeps sensors
        # from starting.
        for _ in range(LOCK_ATTEMPTS):
            with suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            time.sleep(LOCK_DELAY)
        yield
    finally:
        os.close(lock)


def _is_being_made(virtualenvs: Path, pack: str) -> bool:
    try:
        lock = os.open(_lock_of(virtualenvs, pack), os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def _lock_of(virtualenvs: Path, pack: str) -> Path:
    return virtualenvs / f".{pack}.lock"


def _failure(virtualenvs: Path, pack: str) -> ContentError | None:
    """Return why the last attempt to make a pack's virtualenv failed, or None."""
    try:
        noted = json.loads(regular_file.read(failure_note(virtualenvs, pack), LARGEST))
        return ContentError(noted["message"], file=noted["file"], line=noted["line"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _set_up(pack: Pack, virtualenvs: Path, *, recreate: bool, progress: Progress) -> bool:
    wanted = requirements(pack.path)
    python = _python(read(pack.path / "pack.yaml"))
    if not wanted and python == sys.executable:
        return False
    home = virtualenvs / pack.ref
    stamp = hashlib.sha256(f"{python}\n{wanted}".encode()).hexdigest()
    exists = interpreter(virtualenvs, pack.ref).is_relative_to(home)
    if exists and not recreate and mark(virtualenvs, pack.ref).startswith(stamp):
        return False
    with _making(virtualenvs, pack.ref):
        previous = virtualenvs / f".{pack.ref}.previous"
        is_aside = recreate and home.exists()
        try:
            shutil.rmtree(previous, ignore_errors=True)
            if is_aside:
                home.rename(previous)
                exists = False
            if not exists:
                progress(f"{pack.ref}: making a virtualenv with {python}")
                _run([python, "-m", "venv", str(home)], pack, progress)
            if wanted:
                pip = [str(home / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install"]
                _run([*pip, "-r", str(pack.path / REQUIREMENTS)], pack, progress)
            (home / MARK).write_text(f"{stamp} {os.urandom(4).hex()}")
        except (ContentError, OSError) as exception:
            if not exists:
                shutil.rmtree(home, ignore_errors=True)
            if is_aside and previous.exists():
                previous.rename(home)
            if isinstance(exception, OSError):
                raise ContentError(
                    f"the virtualenv of pack {pack.ref} cannot be made: {exception}; run it as a user with that "
                    "permission",
                    file=str(pack.path / REQUIREMENTS),
                ) from exception
            raise
        shutil.rmtree(previous, ignore_errors=True)
    return True


def unsupported(pack: Pack, virtualenvs: Path) -> ContentError | None:
    """Return a warning if a pack's sensors run on a Python that `python_versions` does not list; None if not.

    A virtualenv has an interpreter that was chosen when it was made. Without one, the container's own is used, unless
    the pack needs a virtualenv: then its sensors do not run.
    """
    if interpreter(virtualenvs, pack.ref).is_relative_to(virtualenvs / pack.ref):
        return None
    try:
        check(virtualenvs, pack.ref, pack.path)
    except ContentError:
        return None
    try:
        file = read(pack.path / "pack.yaml")
        python = _python(file)
    except ContentError as error:
        # An unreadable pack.yaml is reported elsewhere.
        return error if VERSIONS in error.message else None
    if python == sys.executable:
        return None
    return file.error(
        f"{VERSIONS}: without a virtualenv, the pack's sensors run on {_own()}; make one with "
        f"{Path(python).name}: st2ctl reload --register-setup-virtualenvs",
        [VERSIONS],
    )


def _own() -> str:
    return "{}.{}".format(*sys.version_info)


def _python(file: File) -> str:
    """Return an interpreter that a pack supports, preferably this process's own. Raises ContentError.

    :param file: its pack.yaml.
    """
    listed = file.data.get(VERSIONS)
    wanted = [str(version) for version in listed] if isinstance(listed, list) else []
    own = _own()
    if not wanted or own in wanted or "3" in wanted:
        return sys.executable
    for version in wanted:
        found = shutil.which(f"python{version}") if re.fullmatch(r"3\.\d+", version) else None
        if found is not None:
            return found
    raise file.error(
        f"{VERSIONS}: the pack runs on Python {', '.join(wanted)}, and this is {own}; install one of them, or add "
        f"{own} if the pack also runs on it",
        [VERSIONS],
    )


def _run(command: list[str], pack: Pack, progress: Progress) -> None:
    # Variables for this process's Python would confuse another one.
    environment = handed_on(os.environ, PRIVATE)
    environment["PYTHONUNBUFFERED"] = "1"
    last: deque[str] = deque(maxlen=LAST_LINES)
    try:
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as process:
            assert process.stdout is not None
            for line in filter(None, map(str.strip, process.stdout)):
                last.append(line[:LONGEST_LINE])
                progress(f"{pack.ref}: {line}")
    except OSError as exception:
        last.append(str(exception))
    else:
        if process.returncode == 0:
            return
    # Errors come first, because a table may show only the beginning.
    said = sorted(last, key=lambda line: not line.lower().startswith("error"))
    raise ContentError(
        f"the virtualenv of pack {pack.ref} cannot be made: {' | '.join(said)}; correct the requirements, or "
        "the access to the package index, and make it again with: st2ctl reload --register-setup-virtualenvs",
        file=str(pack.path / REQUIREMENTS),
    )
