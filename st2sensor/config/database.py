"""`[database]`: the database's URL, and the options for pymongo's client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from oslo_config import cfg

from st2sensor.config.urls import MONGODB, checked, database_url, mongodb_url
from st2sensor.settings import Database


def database(group: cfg.ConfigOpts.GroupAttr, resolve: Callable[[str], Path], state_dir: Path) -> Database:
    """Return the database's settings. Raises ValueError naming the key, and no password."""
    if group.connection is not None:
        url = database_url(group.connection, resolve, state_dir)
    elif group.host.startswith(tuple(f"{scheme}://" for scheme in MONGODB)):
        url = group.host
        checked("[database] host", url)
    else:
        url = mongodb_url(group.host, group.port)
    return Database(
        url=url,
        name=group.db_name,
        connection_timeout=group.connection_timeout,
        client=_client(group),
    )


def ignored_certificate(group: cfg.ConfigOpts.GroupAttr) -> Iterator[str]:
    """Yield a warning if the client's certificate is set by keys that no longer have an effect."""
    if group.connection is None and (group.ssl_keyfile or group.ssl_certfile) and not group.tls_certificate_key_file:
        yield (
            "[database] ssl_keyfile and ssl_certfile have no effect, as in StackStorm since 3.9: put the certificate "
            "and the key into one file, and set tls_certificate_key_file to its path"
        )


def _client(group: cfg.ConfigOpts.GroupAttr) -> dict[str, Any]:
    """Return the options for pymongo's client. A login in the URL takes precedence over the keys."""
    options: dict[str, Any] = {}
    if group.username and "@" not in group.host:
        options |= {"username": group.username, "password": group.password}
    certificate = group.tls_certificate_key_file
    authority = group.tls_ca_file or group.ssl_ca_certs
    mechanism = group.authentication_mechanism
    if group.tls or group.ssl or certificate or authority or group.ssl_cert_reqs or mechanism:
        lax = group.tls_allow_invalid_certificates
        options |= {
            "tls": True,
            "tlsCertificateKeyFile": certificate,
            "tlsCertificateKeyFilePassword": group.tls_certificate_key_file_password,
            "tlsCAFile": authority,
            "tlsAllowInvalidCertificates": group.ssl_cert_reqs == "none" if lax is None else lax,
            "tlsAllowInvalidHostnames": group.tls_allow_invalid_hostnames or not group.ssl_match_hostname,
        }
    options |= {
        "authMechanism": mechanism,
        "compressors": ",".join(group.compressors) or None,
        "zlibCompressionLevel": group.zlib_compression_level,
    }
    return {name: value for name, value in options.items() if value is not None}
