"""A Containerfile's instructions, and a build of them without an engine, in a folder that stands for the root.

There are two ways: in a chroot with read-only views of this host's folders, as root in a mount namespace; or, where
that is impossible, on this host with every path of the image below the folder.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

HOSTS = ("/bin", "/lib", "/lib32", "/lib64", "/sbin", "/usr")
"""Folders of this host that the chroot sees, besides its Python."""

PIP = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_COMPILE": "1"}
"""Use no registry, and be quick. The second one, despite its name and value, turns isolation off."""

MOUNTED = """
set -eu
mount --make-rprivate /
mount --bind {root} {root}
for folder in {folders}; do
    mkdir -p "{root}$folder"
    mount --rbind "$folder" "{root}$folder"
    mount -o remount,bind,ro "{root}$folder"
done
mkdir -p {root}/dev {root}/proc {root}/tmp
mount --rbind /dev {root}/dev
mount -t proc proc {root}/proc
{closed}
exec chroot {root} {become} sh -c {script}
"""

CLOSED = """
for folder in {writable}; do mount --rbind "{root}$folder" "{root}$folder"; done
mount -o remount,bind,ro {root}
"""
"""Make the root read-only, except for these folders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """:param text: the text after the word, with continued lines joined."""

    word: str
    text: str

    @property
    def words(self) -> list[str]:
        """Return the items of a JSON array, or the words as a shell splits them."""
        return list(json.loads(self.text)) if self.text.startswith("[") else shlex.split(self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One FROM and the instructions that follow it."""

    base: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)

    def of(self, word: str) -> list[Instruction]:
        return [instruction for instruction in self.instructions if instruction.word == word]

    @property
    def environment(self) -> dict[str, str]:
        pairs = [pair.partition("=") for instruction in self.of("ENV") for pair in instruction.words]
        return {name: value for name, _, value in pairs}


def parsed(text: str) -> list[Stage]:
    """Return the stages of a Containerfile."""
    stages: list[Stage] = []
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        word, _, rest = line.partition(" ")
        assert re.fullmatch(r"[A-Z]+", word), line
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            stages.append(Stage(base=base, name=name))
        else:
            stages[-1].instructions.append(Instruction(word=word, text=rest.strip()))
    return stages


class Build:
    """A folder that receives the contents of the image.

    :param context: the folder that COPY copies from.
    :param chrooted: whether the folder becomes the root; otherwise every path of the image is below it.
    """

    def __init__(self, folder: Path, context: Path, *, chrooted: bool) -> None:
        self.root = folder
        self._context = context
        self.chrooted = chrooted
        self._folders = [path for path in HOSTS if Path(path).is_dir()]
        if chrooted:
            shutil.copytree("/etc", folder / "etc", symlinks=True, ignore=_but_accounts)
            (folder / "tmp").mkdir()
            (folder / "tmp").chmod(0o1777)
            python = sys.base_prefix
            self._folders += [] if python.startswith("/usr/") else [python]
            self._folders += [sysconfig.get_path("purelib")]

    def build(self, stages: Sequence[Stage], prepared: Mapping[str, str]) -> None:
        """Carry out every stage.

        :param prepared: replaces downloads: a shell command to run before each RUN that begins with its key.
        """
        for stage in stages:
            variables: dict[str, str] = {}
            folder = "/"
            for instruction in stage.instructions:
                if instruction.word == "RUN":
                    before = [line for start, line in prepared.items() if instruction.text.startswith(start)]
                    self.run("\n".join([*before, instruction.text]), variables, folder)
                elif instruction.word == "COPY":
                    self._copy(instruction, folder)
                elif instruction.word == "WORKDIR":
                    folder = instruction.text
                    self.host(folder).mkdir(parents=True, exist_ok=True)
                elif instruction.word == "ENV":
                    variables |= stage.environment

    def host(self, path: str) -> Path:
        """Return where a path of the image is on this host."""
        return self.root / path.lstrip("/")

    def run(self, script: str, variables: Mapping[str, str], folder: str) -> None:
        """Run the command of a RUN. Without a chroot, commands that create accounts are skipped."""
        if not self.chrooted and re.match(r"(groupadd|useradd) ", script):
            return
        done = subprocess.run(
            self.command(script, folder),
            env=self.environment(variables),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"RUN {script}\n{done.stdout}{done.stderr}"

    def command(self, script: str, folder: str, *, user: str = "", writable: Sequence[str] = ()) -> list[str]:
        """Return a command that runs a shell script as in the image.

        :param user: as in USER; with a user, the root is read-only except for `writable`, and there are no privileges.
        """
        if not self.chrooted:
            owner = f" -o {os.getuid()} -g {os.getgid()}"
            script = re.sub(r" -o \d+ -g \d+", owner, self._below(script))
            return ["sh", "-euc", f"cd {self.host(folder)}\n{script}"]
        become = ""
        if user:
            uid, _, gid = user.partition(":")
            become = f"setpriv --reuid {uid} --regid {gid} --clear-groups --no-new-privs --bounding-set=-all"
        mounted = MOUNTED.format(
            root=self.root,
            folders=" ".join(self._folders),
            closed=CLOSED.format(root=self.root, writable=" ".join(writable)) if user else "",
            become=become,
            script=shlex.quote(f"set -eu\ncd {folder}\n{script}"),
        )
        return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", mounted]

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Return the image's variables, with this host's Python on the path."""
        python = f"{sys.base_prefix}/bin"
        path = variables.get("PATH", "/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin")
        ours = {name: value if self.chrooted else self._below(value) for name, value in variables.items()}
        first = path.partition(":")[0]
        front = [first if self.chrooted else str(self.host(first))] if "PATH" in variables else []
        return {**PIP, **ours, "PATH": ":".join([*front, python, path]), "HOME": "/tmp", "LANG": "C.UTF-8"}

    def _below(self, text: str) -> str:
        """Return a script or a value with the image's own paths moved below the folder."""
        return re.sub(r"(?<![\w/.:])/(?=(?:opt|etc|src|var)/)", f"{self.root}/", text)

    def _copy(self, instruction: Instruction, folder: str) -> None:
        words = [word for word in instruction.words if not word.startswith("--")]
        options = dict(word[2:].split("=") for word in instruction.words if word.startswith("--"))
        source_root = self.root if "from" in options else self._context
        *sources, destination = words
        target = self.host(destination if destination.startswith("/") else f"{folder}/{destination}")
        for source in sources:
            path = source_root / source.lstrip("/")
            to = target / path.name if destination.endswith("/") else target
            if path == to:
                # Both stages have one root here.
                continue
            to.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                shutil.copytree(path, to, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(path, to)
                to.chmod(int(options.get("chmod", "644"), 8))


def installed_here(folder: Path) -> Path:
    """Make a folder of links to this environment's packages, without st2sensor."""
    folder.mkdir(parents=True)
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if not path.name.startswith(("st2sensor", "__editable__", "__pycache__")) and path.suffix != ".pth":
            (folder / path.name).symlink_to(path)
    return folder


def can_chroot() -> bool:
    """Return whether this process may have a root of its own. Most containers do not allow it."""
    if os.getuid() != 0 or not all(map(shutil.which, ("unshare", "chroot", "setpriv", "useradd"))):
        return False
    tried = ["unshare", "--mount", "--pid", "--fork", "sh", "-c", "mount --make-rprivate / && mount -t proc proc /proc"]
    return subprocess.run(tried, capture_output=True, check=False).returncode == 0


def _but_accounts(folder: str, names: list[str]) -> list[str]:
    needed = (
        "passwd",
        "group",
        "shadow",
        "gshadow",
        "login.defs",
        "default",
        "ld.so",
        "nsswitch.conf",
        "pam.d",
        "hosts",
    )
    return [] if folder != "/etc" else [name for name in names if not name.startswith(needed)]
