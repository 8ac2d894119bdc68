"""The options of `[secrets]`."""

from __future__ import annotations

from oslo_config import cfg

SECRETS = [
    cfg.StrOpt("vault_url", help="URL of Vault, such as https://vault:8200; http:// only on loopback; unset: no Vault"),
    cfg.StrOpt("vault_namespace", help="Vault's namespace"),
    cfg.StrOpt("vault_mount", default="secret", help="path at which Vault's KV engine, version 2, is mounted"),
    cfg.StrOpt("vault_token_file", help="file with a token for Vault, read for each request"),
    cfg.StrOpt("vault_approle_mount", default="approle", help="path at which Vault's AppRole is mounted"),
    cfg.StrOpt("vault_role_id_file", help="file with AppRole's role id"),
    cfg.StrOpt("vault_secret_id_file", help="file with AppRole's secret id"),
    cfg.StrOpt("vault_ca_file", help="file of certificates to trust for Vault in place of the system's"),
    cfg.ListOpt(
        "file_folders",
        default=["/run/secrets", "/etc/st2/secrets"],
        help="folders from which secret('file', PATH) may read; empty: none",
    ),
    cfg.ListOpt(
        "env_allowed",
        default=[],
        help="variables that secret('env', NAME) may read, such as PROD_*; sensors do not inherit them; empty: none",
    ),
    cfg.ListOpt(
        "exec_allowed",
        default=[],
        help="absolute paths of programs that secret('exec', PROGRAM, ...) may run; empty: none",
    ),
    cfg.FloatOpt("timeout", default=5.0, min=0.1, max=15, help="seconds that one read of a secret may take"),
    cfg.FloatOpt(
        "refresh_interval", default=60.0, min=1, help="seconds between two reads of a secret that sensors use"
    ),
]
