"""Secrets that `secret()` names, seen from outside: starts, rotation, an outage of Vault, and that no value is ever
shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers.certificate import make_certificate
from tests.support.servers.vault import Vault
from tests.support.servers.waiting import eventually
from tests.support.workspace import Workspace

SHOWS = """
import json
import os
import time

class {name}(Sensor):
    def run(self):
        with open("{folder}/{name}.new", "w") as file:
            json.dump([os.getpid(), self.config, "PROD_KEY" in os.environ], file)
        os.rename("{folder}/{name}.new", "{folder}/{name}.json")
        print("printed", self.config, flush=True)
        time.sleep(1000)
"""


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    made = Vault(make_certificate(tmp_path))
    made.secrets["db/prod"] = {"password": "open sesame"}
    yield made
    made.close()


def add(workspace: Workspace, pack: str, name: str, values: str) -> None:
    workspace.add_sensor(pack, name, SHOWS.format(name=name, folder=workspace.folder))
    configs = workspace.folder / "configs"
    configs.mkdir(exist_ok=True)
    (configs / f"{pack}.yaml").write_text(values)


def configure(workspace: Workspace, vault: Vault, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("root-token")
    with workspace.config.open("a") as file:
        file.write(
            f"\n[secrets]\nvault_url = {vault.url}\nvault_token_file = {tmp_path}/token\n"
            f"vault_ca_file = {tmp_path}/certificate.pem\nfile_folders = {tmp_path}\nenv_allowed = PROD_*\n"
            "exec_allowed = /bin/echo\nrefresh_interval = 1\n"
        )


def shown(workspace: Workspace, name: str) -> Any:
    path = workspace.folder / f"{name}.json"
    eventually(f"{name} has shown its configuration", path.exists)
    return json.loads(path.read_text())


def test_a_rotated_secret_restarts_only_the_sensors_that_use_it(
    workspace: Workspace, vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROD_KEY", "from the environment")
    configure(workspace, vault, tmp_path)
    (tmp_path / "key").write_text("a file's secret\n")
    (tmp_path / "key").chmod(0o600)
    add(workspace, "v", "V", "a: \"pg://{{ secret('vault', 'db/prod', 'password') }}@h\"\n")
    add(
        workspace,
        "f",
        "F",
        f"a: \"{{{{ secret('file', '{tmp_path}/key') }}}}\"\nb: \"{{{{ secret('env', 'PROD_KEY') }}}}\"\n"
        "c: \"{{ secret('exec', '/bin/echo', 'echoed words') | upper }}\"\n",
    )
    workspace.reload_well()
    container = workspace.start("--debug")
    first, other = shown(workspace, "V"), shown(workspace, "F")
    assert first[1] == {"a": "pg://open sesame@h"}
    assert other[1:] == [{"a": "a file's secret", "b": "from the environment", "c": "ECHOED WORDS"}, False]
    vault.secrets["db/prod"] = {"password": "new sesame"}
    eventually("the sensor has the new value", lambda: shown(workspace, "V")[1] == {"a": "pg://new sesame@h"})
    assert shown(workspace, "F")[0] == other[0]
    vault.status = 503
    container.wait_for_log("is sealed or in maintenance")
    container.wait_for_log("its last value stays in use")
    assert shown(workspace, "V")[0] != first[0]
    container.wait_for_log("printed {")
    for secret in ("open sesame", "new sesame", "a file's secret", "from the environment", "ECHOED", "root-token"):
        assert secret not in container.log
        assert (
            secret
            not in workspace.run("st2sensor", "--config-file", str(workspace.config), "show", "v.V", "--json").stdout
        )


@pytest.mark.soak
def test_a_sensor_waits_for_a_vault_that_is_sealed_and_starts_when_it_is_not(
    workspace: Workspace, vault: Vault, tmp_path: Path
) -> None:
    configure(workspace, vault, tmp_path)
    add(workspace, "v", "V", "a: \"{{ secret('vault', 'db/prod', 'password') }}\"\n")
    vault.status = 503
    workspace.reload_well()
    workspace.start()

    def reason() -> str:
        done = workspace.run("st2sensor", "--config-file", str(workspace.config), "show", "v.V")
        return " ".join(done.stdout.split())

    eventually("show says why it waits", lambda: "is sealed or in maintenance" in reason())
    vault.status = None
    assert shown(workspace, "V")[1] == {"a": "open sesame"}


def test_validate_reports_wrong_calls_and_reads_nothing(workspace: Workspace, vault: Vault, tmp_path: Path) -> None:
    configure(workspace, vault, tmp_path)
    add(
        workspace,
        "v",
        "V",
        "a: \"{{ secret('consul', 'x') }}\"\n"
        f"b: \"{{{{ secret('file', '{tmp_path}/missing') }}}}\"\n"
        "c: \"{{ secret('exec', '/bin/sh', '-c', 'touch pwned') }}\"\n"
        "d: \"{{ secret('vault', 'db/prod') }}\"\n"
        "e: \"{{ secret('env', 'HOME') }}\"\n"
        "f: \"{{ secret('vault', 'db/prod', 'password') }}\"\n",
    )
    folder = str(workspace.folder / "packs" / "v")
    done = workspace.run("st2sensor", "--config-file", str(workspace.config), "validate", folder)
    assert done.returncode == 1
    for line, message in enumerate(
        ("knows no source 'consul'", "does not exist", "exec_allowed", "1 arguments after 'vault'", "env_allowed"), 1
    ):
        assert any(f"v.yaml:{line}:" in text and message in text for text in done.stdout.splitlines()), done.stdout
    assert "v.yaml:6" not in done.stdout
    assert vault.requests == []
