from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from st2sensor import masking
from st2sensor.errors import ContentError, DatastoreError
from st2sensor.models import SYSTEM_SCOPE, USER_SCOPE, KeyValue
from st2sensor.packs.configuration import checker, pack_config
from st2sensor.packs.configuration import source as pack_source
from st2sensor.packs.configuration.pack_config import Config
from st2sensor.packs.configuration.templates import FUNCTIONS, Templates
from st2sensor.packs.validation import configuration
from st2sensor.portable import crypto
from st2sensor.secrets.sources import SecretSources
from st2sensor.workers.pool import Pool
from tests.support.workspace import sample

KEY = crypto.parse(json.dumps(sample("encryption.json")["key_file"]))


class Pack:
    """A pack's two files, and a datastore of dicts."""

    def __init__(self, folder: Path, workers: Pool) -> None:
        self.folder = folder
        self.workers = workers
        self.entries: dict[tuple[str, str], KeyValue] = {}

    def write(self, values: str | None, schema: str | None = None) -> None:
        for name, text in (("p.yaml", values), ("config.schema.yaml", schema)):
            if text is not None:
                (self.folder / name).write_text(text)

    def store(self, name: str, value: str, *, scope: str = SYSTEM_SCOPE, secret: bool = False) -> None:
        stored = KEY.encrypt(value) if secret else value
        self.entries[scope, name] = KeyValue(name=name, value=stored, scope=scope, secret=secret)

    def render(self) -> Config:
        return pack_config.render(pack_source.load(self.folder, "p", self.folder), self._templates())

    def fingerprint(self) -> str:
        return pack_config.fingerprint(pack_source.load(self.folder, "p", self.folder), self._templates())

    def _templates(self) -> Templates:
        return Templates(lambda scope, name: self.entries.get((scope, name)), decrypt, "stanley", self.workers)


def decrypt(name: str, ciphertext: str) -> str:
    try:
        return KEY.decrypt(ciphertext)
    except crypto.NotCiphertext as exception:
        raise DatastoreError(f"the secret {name} cannot be decrypted: {exception}") from exception


@pytest.fixture(scope="module")
def workers() -> Iterator[Pool]:
    with closing(Pool(FUNCTIONS)) as pool:
        yield pool


@pytest.fixture
def pack(tmp_path: Path, workers: Pool) -> Pack:
    return Pack(tmp_path, workers)


def test_without_files_a_configuration_is_empty(pack: Pack) -> None:
    assert pack.render() == Config(values={})


def test_without_a_schema_values_are_taken_as_they_are(pack: Pack) -> None:
    pack.write("a: 1\nb: {c: [x, 2]}\nd:\n")
    assert pack.render().values == {"a": 1, "b": {"c": ["x", 2]}, "d": None}


def test_without_a_configuration_nothing_is_checked_and_the_warning_names_what_is_lacking(pack: Pack) -> None:
    pack.write(
        None,
        "token: {type: string, required: true}\n"
        "port: {type: integer, default: 8099, required: true}\n"
        "region: {type: object, required: true, properties: {name: {required: true}, zone: {default: 1}}}\n"
        "proxy: {type: object, properties: {host: {required: true}, port: {default: 80}}}\n"
        "hosts: {type: array, items: {type: string}, required: true}\n",
    )
    found = pack.render()
    assert found.values == {"port": 8099, "region": {"zone": 1}, "proxy": {"port": 80}, "hosts": []}
    assert found.warnings == (
        f"{pack.folder}/p.yaml: the pack has no configuration, and runs on the defaults of its config.schema.yaml. "
        "These required keys have no default: token, region.name. Write a configuration, then run st2ctl reload",
    )
    # The proxy was not named, because a configuration may leave it out.
    pack.write("token: t\nregion: {name: r}\nhosts: []\n")
    assert pack.render().values["proxy"] == {"port": 80}


def test_without_a_configuration_there_is_no_warning_if_nothing_required_is_lacking(pack: Pack) -> None:
    pack.write(None, "port: {type: integer, default: 8099, required: true}\nname: {type: string}\n")
    assert pack.render() == Config(values={"port": 8099})


@pytest.mark.parametrize("values", [None, "{}", "labels:\ntargets:\nrows: []\n"])
def test_missing_arrays_and_objects_are_empty_where_the_schema_says_what_is_in_them(
    pack: Pack, values: str | None
) -> None:
    pack.write(
        values,
        "targets: {type: array, items: {type: string}}\n"
        "rows: {type: array, additionalItems: true}\n"
        "labels: {type: object, additionalProperties: {type: string}}\n"
        "open: {type: object, additionalProperties: true}\n"
        "patterns: {type: object, patternProperties: {^a: {type: string}}}\n"
        "deep: {type: object, properties: {list: {type: array, items: {}}, inner: {type: array, items: {enum: [a]}}}}\n"
        "filled: {type: object, default: {}, properties: {count: {default: 2}}}\n"
        "anything: {type: array}\nbare: {type: object}\nclosed: {type: object, additionalProperties: false}\n"
        "either: {type: [array, 'null'], items: {type: string}}\n",
    )
    assert pack.render().values == {
        "targets": [],
        "rows": [],
        "labels": {},
        "open": {},
        "patterns": {},
        "deep": {"inner": []},
        "filled": {"count": 2},
    }


def test_a_pack_without_schema_or_with_an_empty_one_lacks_no_configuration(pack: Pack) -> None:
    for schema in (None, "", "{}"):
        pack.write(None, schema)
        assert pack.render() == Config(values={})


SCHEMA = """\
host: {type: string, default: localhost, required: true}
port: {type: integer, default: 80}
token: {type: string, secret: true}
region:
  type: object
  properties:
    name: {type: string, default: eu}
    zone: {type: string}
    inner: {type: object, properties: {deep: {type: integer, default: 3}}}
targets:
  type: array
  items: {type: object, properties: {url: {type: string}, retries: {type: integer, default: 2}}}
by_name:
  type: object
  patternProperties: {"^n": {type: object, properties: {size: {type: integer, default: 7}}}}
  additionalProperties: {type: object, properties: {size: {type: integer, default: 8}}}
off: {type: boolean, default: false}
"""


def test_defaults_fill_what_is_missing_however_deep(pack: Pack) -> None:
    pack.write(None, SCHEMA)
    assert pack.render().values == {
        "host": "localhost",
        "port": 80,
        "region": {"name": "eu", "inner": {"deep": 3}},
        "targets": [],
        "by_name": {},
        "off": False,
    }
    pack.write("port:\nregion: {zone: a}\ntargets: [{url: x}, {url: y, retries: 9}]\nby_name: {n1: {}, other: {}}\n")
    assert pack.render().values == {
        "host": "localhost",
        "port": 80,
        "region": {"name": "eu", "zone": "a", "inner": {"deep": 3}},
        "targets": [{"url": "x", "retries": 2}, {"url": "y", "retries": 9}],
        "by_name": {"n1": {"size": 7}, "other": {"size": 8}},
        "off": False,
    }


def test_the_datastore_is_rendered_into_values_and_defaults_stay_as_they_are_written(pack: Pack) -> None:
    pack.store("host", "h1")
    pack.store("dotted.name", "d")
    pack.store("stanley:own", "mine", scope=USER_SCOPE)
    pack.write(
        "url: 'https://{{ st2kv.system.host }}/{{ st2kv.system.dotted.name }}'\n"
        "item: \"{{ st2kv.system['dotted.name'] | upper }}\"\n"
        "list: ['{{st2kv.user.own}}', plain]\n"
        "either: \"{{ st2kv.system.host if st2kv.system.host == 'h2' else 'other' }}\"\n",
        "fallback: {type: string, default: '{{ st2kv.system.host }}'}\n"
        "deep: {type: object, properties: {list: {type: array, default: ['{{ st2kv.system.gone }}']}}}\n",
    )
    assert pack.render().values == {
        "url": "https://h1/d",
        "item": "D",
        "list": ["mine", "plain"],
        "either": "other",
        "fallback": "{{ st2kv.system.host }}",
        "deep": {"list": ["{{ st2kv.system.gone }}"]},
    }


def test_a_rendered_text_takes_the_type_that_its_schema_names(pack: Pack) -> None:
    for name, value in (("i", "8080"), ("b", "true"), ("l", '["a", 1]'), ("s", "8080"), ("n", "1.5")):
        pack.store(name, value)
    pack.write(
        "".join(f"{name}: '{{{{st2kv.system.{name}}}}}'\n" for name in "iblsn"),
        "i: {type: integer}\nb: {type: boolean}\nl: {type: array}\ns: {type: string}\nn: {type: number}\n",
    )
    assert pack.render().values == {"i": 8080, "b": True, "l": ["a", 1], "s": "8080", "n": 1.5}


def test_what_a_value_renders_to_is_not_rendered_again(pack: Pack) -> None:
    pack.store("a", "{{ st2kv.system.b }}")
    pack.write("a: '{{ st2kv.system.a }}'\n")
    assert pack.render().values == {"a": "{{ st2kv.system.b }}"}


def test_secrets_are_decrypted_by_the_filter_or_where_the_schema_says_so(pack: Pack) -> None:
    pack.store("token", "open sesame", secret=True)
    pack.write(
        "filtered: '{{ st2kv.system.token | decrypt_kv }}'\n"
        "token: '{{ st2kv.system.token }}'\n"
        "both: '{{ st2kv.system.token | decrypt_kv }}'\n"
        "raw: '{{ st2kv.system.token }}'\n"
        "written: in the file\n",
        "token: {type: string, secret: true}\nboth: {secret: true}\nwritten: {type: string, secret: true}\n",
    )
    found = pack.render()
    ciphertext = pack.entries[SYSTEM_SCOPE, "token"].value
    assert found.values == {
        "filtered": "open sesame",
        "token": "open sesame",
        "both": "open sesame",
        "raw": ciphertext,
        "written": "in the file",
    }
    assert found.secrets == {"open sesame", "in the file", ciphertext}
    assert masking.masked("say open sesame, in the file", found.secrets) == "say ********, ********"


def test_every_part_of_a_secret_is_one_and_nothing_that_says_nothing(pack: Pack) -> None:
    pack.store("json", '{"pw": "hunter23"}', secret=True)
    pack.write(
        "creds: {pw: hunter22, deep: [{pin: 4711}, null, true]}\n"
        "rendered: '{{ st2kv.system.json | decrypt_kv }}'\n"
        "credentials: [abcd1]\nempty:\nflag: true\n",
        "creds: {type: object, secret: true}\nrendered: {type: object}\nempty: {secret: true}\nflag: {secret: true}\n"
        "password: {type: string, default: fallback9}\n",
    )
    found = pack.render()
    assert found.values["rendered"] == {"pw": "hunter23"}
    assert found.secrets == {"hunter22", "4711", "hunter23", '{"pw": "hunter23"}', "abcd1", "fallback9"}


def test_a_key_is_like_its_text_in_expressions(pack: Pack) -> None:
    pack.store("n", "5")
    pack.store("env", "prod-eu")
    pack.write(
        "number: '{{ st2kv.system.n | int + 1 }}'\n"
        "equal: \"{{ st2kv.system.n == '5' }}\"\n"
        "within: \"{{ 'prod' in st2kv.system.env }}\"\n"
        "length: '{{ st2kv.system.env | length }}'\n"
        "letters: \"{{ st2kv.system.n | list | join(',') }}\"\n"
        "old: '{{ system.n }}'\n"
        "flag: \"{{ st2kv.system.n == '5' }}\"\n"
        "either: '{{ st2kv.system.n }}'\n",
        "flag: {type: boolean}\neither: {type: [integer, 'null']}\n",
    )
    assert pack.render().values == {
        "number": "6",
        "equal": "True",
        "within": "True",
        "length": "7",
        "letters": "5",
        "old": "5",
        "flag": True,
        "either": 5,
    }


def test_a_secret_that_an_expression_stumbles_over_is_not_shown(pack: Pack) -> None:
    pack.store("token", "open sesame", secret=True)
    pack.write("a: '{{ {}[st2kv.system.token | decrypt_kv] }}'\n")
    with pytest.raises(ContentError) as caught:
        pack.render()
    assert "has no attribute '********'" in str(caught.value)


def test_what_looks_like_an_expression_in_a_description_is_none(pack: Pack) -> None:
    pack.write("a: 1\n", "a: {type: integer, description: 'as in {{ 5 | dictsort }}'}\n")
    assert pack.render().values == {"a": 1}


def test_each_line_of_a_secret_is_one_and_short_ones_are_not_masked(pack: Pack) -> None:
    pack.write("key: |\n  -----BEGIN\n  abc\n  defgh\n", "key: {type: string, secret: true}\n")
    assert pack.render().secrets == {"-----BEGIN", "defgh"}


def test_a_missing_key_is_null_with_a_warning_where_the_value_may_be_missing(pack: Pack) -> None:
    pack.write("a: 1\nb: '{{ st2kv.system.gone }}'\nc: 'x{{ st2kv.user.own }}'\n", "b: {type: string}\n")
    found = pack.render()
    assert found.values == {"a": 1, "b": None, "c": None}
    assert [warning.partition("p.yaml")[2] for warning in found.warnings] == [
        ":2: b: the datastore has no key gone in scope st2kv.system; set it with: st2sensor key set gone VALUE; "
        "until then it is null",
        ":3: c: the datastore has no key stanley:own in scope st2kv.user; set it with: st2sensor key set --scope user "
        "--user stanley own VALUE; until then it is null",
    ]


@pytest.mark.parametrize(
    ("values", "schema", "warnings"),
    [
        (
            "token: x\ntokn: x\n",
            "token: {type: string}",
            [":2: tokn is not in the pack's config.schema.yaml; did you mean"],
        ),
        ("zzz: 1", "token: {type: string}", [":1: zzz is not in the pack's config.schema.yaml; correct it, or add it"]),
        (
            "hosts:\n- {nme: a}\n- {name: b}\n",
            "hosts: {type: array, items: {type: object, properties: {name: {type: string}}}}",
            [":2: hosts.0.nme is not in the pack's config.schema.yaml; did you mean name?"],
        ),
        ("a: {b: 1}", "a: {type: object}", []),
        ("a: {b: 1}", "a: {type: object, properties: {c: {}}, additionalProperties: true}", []),
        ("a: {b: 1}", "a: {type: object, properties: {c: {}}, patternProperties: {b: {}}}", []),
        ("a: 1", None, []),
        ("1: x", "token: {type: string}", [":1: 1 is not in the pack's config.schema.yaml; correct it, or add it"]),
    ],
)
def test_a_key_that_the_schema_does_not_mention_is_told(
    pack: Pack, values: str, schema: str | None, warnings: list[str]
) -> None:
    pack.write(values, schema)
    found = list(pack_config.unknown_keys(pack_source.load(pack.folder, "p", pack.folder)))
    assert [str(error).partition("p.yaml")[2][: len(start)] for error, start in zip(found, warnings, strict=True)] == (
        warnings
    )


def test_a_missing_key_takes_the_default(pack: Pack) -> None:
    pack.write("b: '{{ st2kv.system.gone }}'\n", "b: {type: string, default: x, required: true}\n")
    assert pack.render().values == {"b": "x"}


@pytest.mark.parametrize(
    ("values", "schema", "message"),
    [
        ("a: 1\nport: high\n", SCHEMA, "p.yaml:2: port: 'high' is not of type 'integer', 'null'; set it as the pack's"),
        ("targets:\n- url: x\n- url: 5\n", SCHEMA, "p.yaml:3: targets.1.url: 5 is not of type 'string', 'null'; set"),
        ("{}", "key: {type: string, required: true}", "p.yaml:1: 'key' is a required property; set it as the pack's c"),
        ("", "key: {type: string, required: true}", "p.yaml: 'key' is a required property; set it as the pack's con"),
        ("token: 77777\n", SCHEMA, "p.yaml:1: token: ******** is not of type 'string', 'null'; set it as the pack's"),
        (
            "key: '{{ st2kv.system.gone }}'\n",
            "key: {type: string, required: true}",
            "p.yaml:1: key: None is not of type 'string': the datastore has no key gone in scope st2kv.system; set it "
            "with: st2sensor key set gone VALUE, then run st2ctl reload",
        ),
        (
            "key: '{{ st2kv.system.gone }}'\n",
            "key: {type: string, required: true, secret: true}",
            "in scope st2kv.system; set it with: st2sensor key set --encrypt gone VALUE, then run st2ctl reload",
        ),
        (
            "key: '{{ st2kv.user.gone | decrypt_kv }}'\n",
            "key: {type: string, required: true}",
            "set it with: st2sensor key set --scope user --user stanley --encrypt gone VALUE, then run st2ctl reload",
        ),
        ("- a\n", None, "p.yaml:1: must be a mapping of configuration keys to values"),
        ("a: '{{ st2kv.system.x | no_such }}'", None, "p.yaml:1: a: {{ st2kv.system.x | no_such }} cannot be rendered"),
        ("a: '{{ nobody }}'", None, "cannot be rendered: UndefinedError: 'nobody' is undefined; correct it"),
        (
            "a: '{{ ().__class__.__base__ }}'",
            None,
            "cannot be rendered: SecurityError: access to attribute '__class__'",
        ),
        ('token: "hun\'ter\\"22"\n', "token: {type: integer}", "p.yaml:1: token: ******** is not of type 'integer'"),
        ("a: '{{ 1 / 0 }}'", None, "cannot be rendered: ZeroDivisionError"),
        ("a: '{{ '", None, "cannot be rendered: TemplateSyntaxError"),
        ("a: \"{{ 'x' | decrypt_kv }}\"", None, "cannot be rendered: the secret of the expression cannot be decrypted"),
        ("a: '{{ 5 | dictsort }}'", None, "cannot be rendered: AttributeError: 'int' object has no attribute 'items'"),
        ("a: \"{{ 'a' * 10000000000000 }}\"", None, "cannot be rendered: SecurityError: * is only for numbers"),
        ("a: '{{ 10 ** 10 ** 8 }}'", None, "cannot be rendered: SecurityError: * is only for numbers"),
        ("password: 'hun{{ter22'", None, "p.yaml:1: password: ******** cannot be rendered: TemplateSyntaxError"),
        ("a: {b: 1}", "a: {patternProperties: {'[': {}}}", "patternProperties: [ is not a regular expression: unt"),
        ("a: 1", "a: string", "config.schema.yaml:1: a: must be a schema, as in {type: string}"),
        ("a: 1", "- a", "config.schema.yaml:1: must be a mapping of configuration keys to schemas"),
        ("a: 1", "a: {type: strange}", "config.schema.yaml:1: is not a valid JSON schema: properties.a.type"),
    ],
)
def test_what_is_wrong_is_told_with_file_key_and_remedy(
    pack: Pack, values: str | None, schema: str | None, message: str
) -> None:
    pack.write(values, schema)
    with pytest.raises(ContentError) as caught:
        pack.render()
    assert message in str(caught.value)


def test_a_secret_is_in_no_message(pack: Pack) -> None:
    pack.store("token", "open sesame", secret=True)
    pack.write("token: '{{ st2kv.system.token }}'\n", "token: {type: integer, secret: true}\n")
    with pytest.raises(ContentError) as caught:
        pack.render()
    assert "sesame" not in str(caught.value)
    assert "token: ******** is not of type 'integer'" in str(caught.value)


def test_a_fingerprint_tells_changes_of_what_is_used_alone(pack: Pack) -> None:
    pack.store("used", "1")
    pack.store("secret", "2", secret=True)
    pack.store("other", "3")
    pack.write(
        "a: '{{ st2kv.system.used }}'\nb: '{{ st2kv.system.gone }}'\nc: '{{ st2kv.system.secret | decrypt_kv }}'\n"
    )
    seen = [pack.fingerprint()]
    pack.store("other", "4")
    assert pack.fingerprint() == seen[0]
    changes: list[Mapping[str, Any]] = [
        {"name": "used", "value": "5"},
        {"name": "gone", "value": "6"},
        {"name": "secret", "value": "7", "secret": True},
    ]
    for change in changes:
        pack.store(**change)
        seen.append(pack.fingerprint())
    assert len(set(seen)) == len(seen)


def test_a_schema_that_takes_too_long_to_apply_is_told(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checker, "CHECK_TIMEOUT", 0.5)
    pack.write(f"s: {'a' * 60}!\n", "s: {type: string, pattern: ^(a+)+$}\n")
    with pytest.raises(ContentError, match=r"cannot be checked against the pack's config\.schema\.yaml"):
        pack.render()


def test_patterns_for_keys_apply_to_configurations_and_defaults(pack: Pack) -> None:
    pack.write(
        "a: {x1: {}, y: {}}",
        "a: {type: object, patternProperties: {'^x': {type: object, properties: {n: {type: integer, default: 1}}}}}\n"
        "b: {type: object, default: {x2: s3cret}, patternProperties: {'^x': {type: string, secret: true}}}\n",
    )
    config = pack.render()
    assert config.values == {"a": {"x1": {"n": 1}, "y": {}}, "b": {"x2": "s3cret"}}
    assert config.secrets == {"s3cret"}


def test_a_pattern_for_keys_that_takes_forever_fails_alone(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checker, "CHECK_TIMEOUT", 0.3)
    pack.write(f"a: {{{'a' * 60}!: x}}", "a: {type: object, patternProperties: {'^(a+)+$': {type: string}}}")
    with pytest.raises(ContentError, match=r"the search for keys took more than 0.3 s; simplify the schema"):
        pack.render()
    file, sources = pack.folder / "p.yaml", SecretSources(None)
    whole = pack_source.source_of(file, pack.folder)
    (problem,) = configuration.problems_of(whole, pack.workers, sources)
    assert "the search for keys took more than 0.3 s; simplify the schema" in str(problem)
    pack.write(f"a: {'a' * 60}!", "a: {type: string, pattern: '^(a+)+$'}")
    (problem,) = configuration.problems_of(pack_source.source_of(file, pack.folder), pack.workers, sources)
    assert "the complete check took more than 0.3 s; simplify the schema" in str(problem)
