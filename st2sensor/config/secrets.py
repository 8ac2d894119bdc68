"""`[secrets]`: the sources of secrets outside the datastore."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from oslo_config import cfg

from st2sensor.config.sections import section
from st2sensor.config.urls import is_loopback
from st2sensor.settings import Secrets

FILES = ("vault_token_file", "vault_role_id_file", "vault_secret_id_file", "vault_ca_file")


def secrets(group: cfg.ConfigOpts.GroupAttr, resolve: Callable[[str], Path]) -> Secrets:
    """Return the settings of the sources. Raises ValueError naming the key."""
    for program in group.exec_allowed:
        if not os.path.isabs(program):
            raise ValueError(f"[secrets] exec_allowed = {program}: write the program's absolute path")
    files = {name: resolve(getattr(group, name)) if getattr(group, name) else None for name in FILES}
    found = section(
        Secrets,
        group,
        vault_url=_vault_url(group.vault_url) if group.vault_url else None,
        file_folders=tuple(map(resolve, group.file_folders)),
        **files,
    )
    _check_login(found)
    return found


def _vault_url(url: str) -> str:
    """Return Vault's URL without a final slash. The message of an error does not quote it: it may hold a password."""
    try:
        parts = urlsplit(url)
        is_valid = bool(parts.hostname) and url.isprintable() and parts.username is None and not parts.query
        is_valid = is_valid and parts.scheme in ("http", "https") and not parts.fragment
        # Raises ValueError for an invalid port.
        _ = parts.port
    except ValueError:
        is_valid = False
    if not is_valid:
        raise ValueError("[secrets] vault_url: this is not a URL of Vault; write one such as https://vault:8200")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise ValueError("[secrets] vault_url: http is allowed only on a loopback address; write https://")
    return url.rstrip("/")


def _check_login(found: Secrets) -> None:
    roles = (found.vault_role_id_file, found.vault_secret_id_file)
    if found.vault_url is None:
        return
    if found.vault_token_file is not None and any(roles):
        raise ValueError("[secrets] vault_token_file: set either this, or vault_role_id_file and vault_secret_id_file")
    if found.vault_token_file is None and not all(roles):
        raise ValueError(
            "[secrets] vault_url: also set vault_token_file, or both vault_role_id_file and vault_secret_id_file"
        )
