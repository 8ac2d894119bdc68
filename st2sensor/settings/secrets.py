"""Settings of the sources of secrets outside the datastore."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """`[secrets]`. A source that is not configured is off.

    :param vault_url: URL of Vault; None for none.
    :param vault_namespace: Vault's namespace; None for the root.
    :param vault_mount: the path at which the KV engine (version 2) is mounted.
    :param vault_token_file: file with a token, read for each request; None for a login with AppRole.
    :param vault_approle_mount: the path at which AppRole is mounted.
    :param vault_role_id_file: file with AppRole's role id.
    :param vault_secret_id_file: file with AppRole's secret id.
    :param vault_ca_file: file of certificates to trust in place of the system's; None for the system's.
    :param file_folders: folders from which files may be read.
    :param env_allowed: name patterns of variables that may be read. Sensors do not inherit these variables.
    :param exec_allowed: absolute paths of programs that may be run.
    :param timeout: seconds that one read may take.
    :param refresh_interval: seconds between two reads of a value that sensors use.
    """

    vault_url: str | None = None
    vault_namespace: str | None = None
    vault_mount: str = "secret"
    vault_token_file: Path | None = None
    vault_approle_mount: str = "approle"
    vault_role_id_file: Path | None = None
    vault_secret_id_file: Path | None = None
    vault_ca_file: Path | None = None
    file_folders: tuple[Path, ...] = ()
    env_allowed: tuple[str, ...] = ()
    exec_allowed: tuple[str, ...] = ()
    timeout: float = 5.0
    refresh_interval: float = 60.0
