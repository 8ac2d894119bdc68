"""The sources other than Vault: what may be read, what may not, and what the messages say."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from st2sensor.errors import SecretError, SecretUnavailable
from st2sensor.secrets.call import call_of
from st2sensor.secrets.sources import SecretSources
from st2sensor.settings import Secrets
from tests.plugins.patience import SOON


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "tool"
    path.write_text(
        f"#!{sys.executable} -IS\n"
        "import os, sys, time\n"
        "word = sys.argv[1]\n"
        "if word == 'fail': print('partial-secret', file=sys.stderr); sys.exit(3)\n"
        "if word == 'hang': time.sleep(1000)\n"
        "if word == 'flood':\n"
        "    while True: os.write(1, b'x' * 10000)\n"
        "if word == 'environment': print(' '.join(sorted(os.environ)))\n"
        "else: print('|'.join(sys.argv[1:]))\n"
    )
    path.chmod(0o700)
    return path


@pytest.fixture
def sources(tmp_path: Path, program: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SecretSources]:
    monkeypatch.setenv("PROD_KEY", "from the environment")
    monkeypatch.setenv("ST2_DATABASE__PASSWORD", "never")
    monkeypatch.setenv("OTHER", "x")
    (tmp_path / "in").mkdir()
    settings = Secrets(
        file_folders=(tmp_path / "in",),
        env_allowed=("PROD_*", "ST2_*"),
        exec_allowed=(str(program), "/bin/missing-program"),
        timeout=1.0,
    )
    made = SecretSources(settings, in_container=True)
    yield made
    made.close()


def read(sources: SecretSources, *arguments: str) -> str:
    return sources.read(call_of(arguments))


def test_a_file_is_read_without_its_line_end_and_links_may_stay_inside(sources: SecretSources, tmp_path: Path) -> None:
    file = tmp_path / "in" / "a"
    file.write_text("hush hush\n")
    (tmp_path / "in" / "link").symlink_to(file)
    assert read(sources, "file", str(tmp_path / "in" / "link")) == "hush hush"


def test_a_file_that_all_users_can_read_is_warned_about_once(
    sources: SecretSources, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "in" / "a"
    file.write_text("hush hush")
    file.chmod(stat.S_IRUSR | stat.S_IROTH)
    for _ in range(2):
        read(sources, "file", str(file))
    assert len(caplog.records) == 1
    assert "chmod o-r" in caplog.text
    assert "hush" not in caplog.text


def test_files_elsewhere_links_outside_pipes_and_large_files_are_refused(
    sources: SecretSources, tmp_path: Path
) -> None:
    inside = tmp_path / "in"
    (tmp_path / "out").write_text("x")
    (inside / "link").symlink_to(tmp_path / "out")
    os.mkfifo(inside / "pipe")
    (inside / "large").write_bytes(b"x" * 70_000)
    (inside / "binary").write_bytes(b"\xff\xfe")
    (inside / "empty").touch()
    for path, message in (
        (tmp_path / "out", "leads outside"),
        (inside / "link", "leads outside"),
        (inside / ".." / "out", "leads outside"),
        ("relative", "not an absolute path"),
        (inside / "pipe", "not a regular file"),
        (inside / "large", "more than 65,536 bytes"),
        (inside / "binary", "not UTF-8"),
        (inside / "empty", "is empty"),
    ):
        with pytest.raises(SecretError, match=message):
            read(sources, "file", str(path))
    with pytest.raises(SecretUnavailable, match="cannot be read"):
        read(sources, "file", str(inside / "missing"))


def test_only_listed_variables_are_read_and_never_those_of_the_container(sources: SecretSources) -> None:
    assert read(sources, "env", "PROD_KEY") == "from the environment"
    for name, message in (
        ("OTHER", "env_allowed"),
        ("ST2_DATABASE__PASSWORD", "belongs to the container"),
        ("PROD_NONE", "has no variable"),
    ):
        with pytest.raises(SecretError, match=message):
            read(sources, "env", name)


def test_a_program_gets_its_arguments_without_a_shell_and_no_variables_of_the_container(
    sources: SecretSources, program: Path
) -> None:
    assert read(sources, "exec", str(program), "a b", "$HOME; `id`") == "a b|$HOME; `id`"
    names = read(sources, "exec", str(program), "environment").split()
    assert "OTHER" in names
    assert not {"ST2_DATABASE__PASSWORD", "PROD_KEY"} & set(names)


def test_a_program_that_fails_hangs_or_floods_is_named_without_its_output(
    sources: SecretSources, program: Path
) -> None:
    began = time.monotonic()
    for word, message in (("fail", "exit code 3"), ("hang", "more than 1 s"), ("flood", "more than 65,536 bytes")):
        with pytest.raises(SecretError, match=message) as caught:
            read(sources, "exec", str(program), word)
        assert "partial-secret" not in str(caught.value)
    assert time.monotonic() - began < 2 * SOON


def test_programs_that_are_not_listed_or_missing_are_refused_unrun(sources: SecretSources) -> None:
    for path, message in (("/bin/sh", "exec_allowed"), ("/bin/missing-program", "not a program")):
        with pytest.raises(SecretError, match=message):
            sources.check(["exec", path, "-c", "exit"])


def test_without_settings_every_source_but_a_short_list_of_folders_is_off() -> None:
    sources = SecretSources(Secrets(), in_container=True)
    for call in (["file", "/etc/passwd"], ["env", "HOME"], ["exec", "/bin/sh"], ["vault", "a", "b"]):
        with pytest.raises(SecretError, match=r"\[secrets\]"):
            sources.check(call)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no arguments"),
        (["consul", "a"], "knows no source 'consul'; write one of file, env, vault, exec"),
        (["file"], "0 arguments after 'file'"),
        (["vault", "a"], "1 arguments after 'vault'; write secret"),
        (["file", 3], "must be non-empty text"),
        (["env", ""], "must be non-empty text"),
    ],
)
def test_malformed_calls_are_explained(arguments: list[object], message: str) -> None:
    with pytest.raises(SecretError, match=message):
        SecretSources(None).check(arguments)
