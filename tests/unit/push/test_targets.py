"""The file of targets."""

from __future__ import annotations

from pathlib import Path

import pytest

from st2sensor.errors import ConfigError
from st2sensor.push.targets import MOST_TARGETS, read

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def written(folder: Path, text: str) -> Path:
    (folder / "secret").write_text(f"{SECRET}\n")
    path = folder / "push.yaml"
    path.write_text(text)
    return path


def test_a_target_is_read(tmp_path: Path) -> None:
    text = "a: {url: 'https://h:8/x?k=hidden', secret_file: secret, sensor: p.S, triggers: [p.t, p.u], from: oldest}"
    (target,) = read(written(tmp_path, text))
    assert (target.name, target.sensor, target.triggers) == ("a", "p.S", frozenset({"p.t", "p.u"}))
    assert target.from_oldest
    assert target.tls is not None
    assert target.tls.check_hostname
    assert target.shown == "https://h:8"
    assert repr(target.secrets[0]) not in repr(target)


def test_a_secret_can_be_replaced(tmp_path: Path) -> None:
    path = written(tmp_path, "a: {url: 'http://h/', secret_file: both}")
    (tmp_path / "both").write_text(f"{SECRET}\n{SECRET[:-4]}LaLa\n")
    (target,) = read(path)
    assert len(set(target.secrets)) == 2


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "write a mapping"),
        ("[a]", "write a mapping"),
        ("a: {", "malformed YAML"),
        ("a: {url: 'http://h', secret_file: secret}\na: {url: 'http://i', secret_file: secret}", "already on line"),
        ("'../a': {url: 'http://h', secret_file: secret}", "a name consists of"),
        ("a: 5", "a: write at least url and secret_file"),
        ("a: {url: 'http://h', secret_file: secret, trigger: p.t}", "unknown key trigger"),
        ("a: {secret_file: secret}", "a: url: write http://HOST"),
        ("a: {url: 'ftp://h', secret_file: secret}", "a: url: write http://HOST"),
        ("a: {url: 'http://h:99999', secret_file: secret}", "a: url: write http://HOST"),
        ("a: {url: 'http://u:hidden@h', secret_file: secret}", "a: url: leave out the user"),
        ("a: {url: 'http://h'}", "a: secret_file: name a file"),
        ("a: {url: 'http://h', secret_file: missing}", "a: secret_file:"),
        ("a: {url: 'http://h', secret_file: push.yaml}", "a: secret_file:"),
        ("a: {url: 'http://h', secret_file: secret, from: now}", "a: from: write end or oldest"),
        ("a: {url: 'http://h', secret_file: secret, triggers: [5]}", "a: triggers: write a list"),
        ("a: {url: 'http://h', secret_file: secret, sensor: [x]}", "a: sensor: write text"),
        ("a: {url: 'https://h', secret_file: secret, ca_file: secret}", "a: ca_file:"),
        ("\n".join(f"t{n}: {{}}" for n in range(MOST_TARGETS + 1)), "at most 32"),
    ],
)
def test_a_mistake_is_named_with_its_key(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(written(tmp_path, text))
    assert str(refused.value).startswith("[push] targets: ")
    assert named in str(refused.value)
    assert "hidden" not in str(refused.value)
    assert SECRET not in str(refused.value)
