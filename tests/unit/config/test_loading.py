from __future__ import annotations

from pathlib import Path

import pytest

from st2sensor import config
from st2sensor.config import loading
from st2sensor.errors import ConfigError
from st2sensor.settings import Settings
from tests.support.workspace import ROOT


def load(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "st2.conf"
    path.write_text(text)
    return config.load([str(path)])


def test_an_empty_file_gives_stackstorms_defaults(tmp_path: Path) -> None:
    settings = load(tmp_path, "")
    assert settings.database.url == "mongodb://127.0.0.1:27017"
    assert settings.database.name == "st2"
    assert settings.messaging.urls == ("amqp://guest:guest@127.0.0.1:5672//",)
    assert (settings.messaging.prefix, settings.messaging.serializer) == ("st2", "pickle")
    assert settings.content.pack_paths == (Path("/opt/stackstorm/packs"),)
    assert settings.content.configs_path == Path("/opt/stackstorm/configs")
    assert settings.content.virtualenvs_path == Path("/opt/stackstorm/virtualenvs")
    assert settings.system_user == "stanley"
    assert settings.payloads.validate
    assert settings.container.state_dir == Path("/var/lib/st2sensor")


def test_stackstorms_database_keys_make_a_url_and_a_login(tmp_path: Path) -> None:
    text = "[database]\nhost = db\nport = 1234\nusername = me\npassword = p@ss/word\ndb_name = other\n"
    settings = load(tmp_path, text)
    assert settings.database.url == "mongodb://db:1234"
    assert settings.database.client == {"username": "me", "password": "p@ss/word"}
    assert settings.database.name == "other"


TRUSTING = {"tls": True, "tlsAllowInvalidCertificates": False, "tlsAllowInvalidHostnames": False}


@pytest.mark.parametrize(
    ("text", "client"),
    [
        ("", {}),
        ("ssl = True", TRUSTING),
        ("tls = true", TRUSTING),
        ("tls_ca_file = ca.pem", {**TRUSTING, "tlsCAFile": "ca.pem"}),
        ("ssl_ca_certs = ca.pem\nssl_cert_reqs = required", {**TRUSTING, "tlsCAFile": "ca.pem"}),
        (
            "tls_certificate_key_file = c.pem\ntls_certificate_key_file_password = x",
            {**TRUSTING, "tlsCertificateKeyFile": "c.pem", "tlsCertificateKeyFilePassword": "x"},
        ),
        ("ssl_cert_reqs = none", {**TRUSTING, "tlsAllowInvalidCertificates": True}),
        ("tls = true\ntls_allow_invalid_certificates = true", {**TRUSTING, "tlsAllowInvalidCertificates": True}),
        ("ssl = true\nssl_match_hostname = false", {**TRUSTING, "tlsAllowInvalidHostnames": True}),
        ("authentication_mechanism = MONGODB-X509", {**TRUSTING, "authMechanism": "MONGODB-X509"}),
        (
            "compressors = zstd,zlib\nzlib_compression_level = 9",
            {"compressors": "zstd,zlib", "zlibCompressionLevel": 9},
        ),
    ],
)
def test_what_mongodbs_client_is_told(tmp_path: Path, text: str, client: dict[str, object]) -> None:
    assert load(tmp_path, f"[database]\n{text}\n").database.client == client


def test_older_keys_of_mongodbs_certificate_are_warned_of(tmp_path: Path) -> None:
    (warning,) = load(tmp_path, "[database]\nssl_keyfile = k.pem\nssl_certfile = c.pem\n").warnings
    assert "put the certificate and the key into one file, and set tls_certificate_key_file" in warning


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ("host = a:27018", "mongodb://a:27018"),
        ("host = a:27018, b\nport = 5", "mongodb://a:27018,b:5"),
        ("host = a,b\nport = 5", "mongodb://a:5,b:5"),
        ("host = ::1", "mongodb://[::1]:27017"),
        ("host = [::1]:5", "mongodb://[::1]:5"),
    ],
)
def test_hosts_take_the_port_unless_they_have_one(tmp_path: Path, options: str, url: str) -> None:
    assert load(tmp_path, f"[database]\n{options}\n").database.url == url


def test_the_login_of_a_uri_comes_first(tmp_path: Path) -> None:
    text = "[database]\nhost = mongodb://other:x@h/\nusername = me\npassword = y\n"
    assert load(tmp_path, text).database.client == {}


def test_a_dollar_that_oslo_stumbles_over_is_explained_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=r"\[database\] password: .*: write \$ as \$\$") as caught:
        load(tmp_path, "[database]\npassword = pa$word\n")
    assert "word in" not in str(caught.value)
    assert load(tmp_path, "[database]\nusername = u\npassword = pa$$word\n").database.client["password"] == "pa$word"
    monkeypatch.setenv("ST2_MESSAGING__COMPRESSION", "")
    assert load(tmp_path, "").messaging.compression is None


def test_a_host_may_be_a_uri(tmp_path: Path) -> None:
    assert (
        load(tmp_path, "[database]\nhost = mongodb://a,b/?replicaSet=r\n").database.url == "mongodb://a,b/?replicaSet=r"
    )


@pytest.mark.parametrize(
    ("connection", "path"),
    [
        ("sqlite:////abs/st2.db", "/abs/st2.db"),
        ("sqlite:///rel/st2.db", "{}/rel/st2.db"),
        ("sqlite://", "{}/state/st2.db"),
    ],
)
def test_an_embedded_database_is_a_file_and_holds_the_local_bus(tmp_path: Path, connection: str, path: str) -> None:
    text = f"[database]\nconnection = {connection}\n[messaging]\nurl = local://\n[sensorcontainer]\nstate_dir = state\n"
    settings = load(tmp_path, text)
    assert settings.database.url == f"sqlite://{path.format(tmp_path)}"
    assert settings.messaging.local_path == Path(path.format(tmp_path))
    assert settings.messaging.serializer == "json"


def test_cluster_urls_come_instead_of_url(tmp_path: Path) -> None:
    assert load(tmp_path, "[messaging]\ncluster_urls = amqp://a,amqp://b\n").messaging.urls == ("amqp://a", "amqp://b")


@pytest.mark.parametrize(
    ("lines", "paths"),
    [
        ("packs_base_paths = /opt/stackstorm/packs", ["/opt/stackstorm/packs"]),
        ("packs_base_paths = :/x:/opt/stackstorm/packs/: :/x:", ["/opt/stackstorm/packs", "/x"]),
        ("packs_base_paths = /y:/x/../y\nsystem_packs_base_path = /y", ["/y"]),
        ("packs_base_paths = /z:/y\nsystem_packs_base_path = /y", ["/y", "/z"]),
    ],
)
def test_a_folder_of_packs_that_is_named_twice_counts_once(tmp_path: Path, lines: str, paths: list[str]) -> None:
    assert load(tmp_path, f"[content]\n{lines}\n").content.pack_paths == tuple(map(Path, paths))


def test_later_files_win_and_user_packs_come_last(tmp_path: Path) -> None:
    first, second = tmp_path / "a.conf", tmp_path / "b.conf"
    first.write_text("[system_user]\nuser = one\n[content]\npacks_base_paths = /x:/y\n")
    second.write_text("[system_user]\nuser = two\n")
    settings = config.load([str(first), str(second)])
    assert settings.system_user == "two"
    assert settings.content.pack_paths == (Path("/opt/stackstorm/packs"), Path("/x"), Path("/y"))


def test_keys_of_stackstorm_that_mean_nothing_here_are_accepted(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        "[auth]\nhost = 127.0.0.1\n[coordination]\nurl = redis://x\n[messaging]\nconnection_retries = 10\n"
        "[database]\nconnection_retry_max_delay_m = 3\nconnection_retry_backoff_mul = 1\n"
        "[sensorcontainer]\nprovider = x\n[system]\ndebug = True\n",
    )
    assert settings.warnings == ()


def test_what_looks_misspelt_is_warned_of(tmp_path: Path) -> None:
    settings = load(
        tmp_path, "[sensorcontainer]\nstop_timeuot = 5\nsurprise = 1\n[sensorcontanier]\nx = 1\n[strange]\ny = 1\n"
    )
    assert settings.warnings == (
        f"{tmp_path}/st2.conf: [sensorcontainer] stop_timeuot is not known and has no effect; "
        "did you mean stop_timeout?",
        f"{tmp_path}/st2.conf: section [sensorcontanier] is not known and has no effect; did you mean sensorcontainer?",
    )


def test_a_variable_that_looks_misspelt_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ST2_MESSAGNG__URL", "ST2_SENSORCONTAINER__STATEDIR", "ST2_AUTH__HOST", "ST2_ACTION_PARAM__X__Y"):
        monkeypatch.setenv(name, "x")
    assert load(tmp_path, "").warnings == (
        "the environment: ST2_MESSAGNG__URL is not known and has no effect; did you mean ST2_MESSAGING__URL?",
        "the environment: ST2_SENSORCONTAINER__STATEDIR is not known and has no effect; "
        "did you mean ST2_SENSORCONTAINER__STATE_DIR?",
    )


def test_a_line_that_cannot_be_parsed_is_named_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, "state_dir = x\n")
    assert str(raised.value).startswith(f"{tmp_path}/st2.conf:1: Section must be started before assignment")
    assert str(raised.value).count(str(tmp_path)) == 1


def test_variables_go_over_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ST2_DATABASE__PASSWORD", "hidden")
    monkeypatch.setenv("ST2_DATABASE__USERNAME", "me")
    monkeypatch.setenv("ST2_SENSORCONTAINER__STOP_TIMEOUT", "2.5")
    settings = load(tmp_path, "[database]\npassword = written\n")
    assert settings.database.client == {"username": "me", "password": "hidden"}
    assert settings.container.stop_timeout == 2.5
    monkeypatch.setenv("ST2_DATABASE__PORT", "many")
    with pytest.raises(ConfigError, match=r"ST2_DATABASE__PORT: .*many"):
        load(tmp_path, "")


def test_a_file_of_logging_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[sensorcontainer\] logging: there is no file /nowhere/logging.conf"):
        load(tmp_path, "[sensorcontainer]\nlogging = /nowhere/logging.conf\n")
    (tmp_path / "logging.conf").write_text("")
    assert load(tmp_path, "[sensorcontainer]\nlogging = logging.conf\n").log.file == tmp_path / "logging.conf"


def test_a_value_of_the_wrong_kind_names_file_and_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"st2.conf: \[database\] port: .*many"):
        load(tmp_path, "[database]\nport = many\n")


@pytest.mark.parametrize("path", sorted((ROOT / "conf").glob("*.conf")), ids=lambda path: path.name)
def test_the_samples_in_conf_load(path: Path) -> None:
    assert config.load([str(path)])


def test_without_any_file_there_may_be_no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in loading.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(loading, "DEFAULT_CONFIG_FILE", str(tmp_path / "st2.conf"))
    assert config.load_if_any([]) is None
    (tmp_path / "st2.conf").touch()
    found = config.load_if_any([])
    assert found is not None
    assert found.source == str(tmp_path / "st2.conf")
    monkeypatch.setenv("ST2_CONFIG_PATH", str(tmp_path / "services.conf"))
    with pytest.raises(ConfigError, match=r"no configuration file at .*services\.conf"):
        config.load_if_any([])
    monkeypatch.setenv("ST2_CONF", str(tmp_path / "other.conf"))
    with pytest.raises(ConfigError, match=r"no configuration file at .*other\.conf"):
        config.load_if_any([])


# Several files.


def test_a_folder_stands_for_its_conf_files_by_name_and_comes_after_what_is_named_before_it(tmp_path: Path) -> None:
    main, folder = tmp_path / "st2.conf", tmp_path / "conf.d"
    folder.mkdir()
    main.write_text("[system]\nbase_path = .\n[database]\ndb_name = first\n[outbox]\nmax_size = 1\n")
    (folder / "20-b.conf").write_text("[database]\ndb_name = third\n")
    (folder / "10-a.conf").write_text("[database]\ndb_name = second\n[outbox]\nmax_size = 2\n")
    (folder / "notes.txt").write_text("[database]\ndb_name = fourth\n")
    settings = config.load([str(main), str(folder)])
    assert (settings.database.name, settings.outbox.max_size) == ("third", 2)
    assert settings.content.configs_path == tmp_path / "configs"
    assert config.load([str(folder), str(main)]).database.name == "first"


def test_a_folder_alone_goes_over_the_file_at_the_usual_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "conf.d"
    folder.mkdir()
    monkeypatch.setenv("ST2_CONF", str(tmp_path / "missing.conf"))
    with pytest.raises(ConfigError, match=r"no \*\.conf in .*conf\.d: add one"):
        config.load([str(folder)])
    (folder / "a.conf").write_text("[outbox]\nmax_size = 2\n")
    assert config.load([str(folder)]).database.name == "st2"
    (tmp_path / "st2.conf").write_text("[database]\ndb_name = usual\n")
    monkeypatch.setenv("ST2_CONF", str(tmp_path / "st2.conf"))
    settings = config.load([str(folder)])
    assert (settings.database.name, settings.outbox.max_size) == ("usual", 2)


def test_debug_is_as_in_stackstorm(tmp_path: Path) -> None:
    assert load(tmp_path, "[system]\ndebug = True\n").log.debug
    assert not load(tmp_path, "").log.debug


@pytest.mark.parametrize(
    ("text", "makes_key"),
    [
        ("[database]\nconnection = sqlite:///x/st2.db\n[keyvalue]\nencryption_key_path = x/key.json\n", True),
        ("[database]\nconnection = sqlite:///x/st2.db\n[keyvalue]\nencryption_key_path = key.json\n", False),
        ("[database]\nconnection = sqlite:///x/st2.db\n", False),
        ("[keyvalue]\nencryption_key_path = /var/lib/st2sensor/key.json\n", False),
    ],
)
def test_only_the_key_of_an_embedded_database_is_made(tmp_path: Path, text: str, makes_key: bool) -> None:
    assert load(tmp_path, text).key_values.makes_key == makes_key


def test_the_sample_to_try_keeps_its_key_in_its_folder_and_makes_it() -> None:
    settings = config.load([str(ROOT / "conf" / "st2.dev.conf")])
    assert settings.key_values.makes_key
    assert settings.key_values.encryption_key_path.parent == settings.container.state_dir
