"""Renders the `{{ st2kv... }}` expressions of a pack's configuration from the datastore.

Follows StackStorm: `st2kv.system.NAME` and `st2kv.user.NAME`, with dots in the name or in brackets, and the filter
`decrypt_kv`. The keys of a user are those of the `[system_user]`.

Plain references are resolved here. Everything else is rendered in a worker process, with limits on time and memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from st2sensor.datastore.keyring import Keyring
from st2sensor.errors import WorkExceeded, WorkFailed
from st2sensor.models import SYSTEM_SCOPE, USER_SCOPE, KeyValue
from st2sensor.packs.configuration import schema as config_schema
from st2sensor.packs.configuration.references import Reference, parts_of
from st2sensor.portable.isotime import utc_now
from st2sensor.schemas.program import program_of
from st2sensor.storage.base import Storage
from st2sensor.workers.pool import Pool

FUNCTIONS = {
    "render": "st2sensor.packs.configuration.rendering:rendered",
    "violation": "st2sensor.packs.configuration.schema:violation",
}
"""What a pool has to know."""

SECONDS = 5.0
"""That the expressions of one configuration may take in worker processes, together."""

CHARACTERS = 4_000_000
"""That the texts of one configuration may have, rendered, together."""

Lookup = Callable[[str, str], KeyValue | None]
"""Given scope and name as they are stored."""

Decrypt = Callable[[str, str], str]
"""Given a name, for messages, and ciphertext."""


class MissingKey(Exception):
    """The datastore has no such key."""

    def __init__(self, scope: str, name: str) -> None:
        super().__init__(f"the datastore has no key {name} in scope {scope}")
        self.scope = scope
        self.name = name


class NotRendered(Exception):
    """:param secrets: texts that the message may hold, and nobody may see."""

    def __init__(self, message: str, secrets: frozenset[str] = frozenset()) -> None:
        super().__init__(message)
        self.secrets = secrets


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """:param is_secret: whether something that was encrypted went into the text.
    :param decrypted: what, in the clear.
    """

    text: str
    is_secret: bool
    decrypted: frozenset[str]


class Templates:
    """For one configuration: what its expressions take is counted. Blocks, as lookup does.

    :param user: whose keys `st2kv.user` are.
    :param workers: know FUNCTIONS; None for some of its own, which end with this process.
    """

    def __init__(self, lookup: Lookup, decrypt: Decrypt, user: str, workers: Pool | None = None) -> None:
        self._lookup = lookup
        self._decrypt = decrypt
        self._user = user
        self._workers = workers or Pool(FUNCTIONS)
        self._seconds = SECONDS
        self._characters = CHARACTERS

    @classmethod
    def of(cls, storage: Storage, keyring: Keyring, user: str, workers: Pool) -> Templates:
        """From the datastore as it is; rendering raises StorageError and StorageUnavailable, too."""
        return cls(lambda scope, name: storage.get_value(scope, name, utc_now()), keyring.decrypt, user, workers)

    def afresh(self) -> Templates:
        """The same, for another configuration."""
        return Templates(self._lookup, self._decrypt, self._user, self._workers)

    def noting(self, used: dict[str, str | None]) -> Templates:
        """The same, but secrets stay encrypted, and what is looked up is noted: a value, or None, by scope and name."""

        def note(scope: str, name: str) -> KeyValue | None:
            entry = self._lookup(scope, name)
            used[f"{scope}:{name}"] = None if entry is None else entry.value
            return entry

        return Templates(note, lambda _, ciphertext: ciphertext, self._user, self._workers)

    def violation(self, values: Mapping[str, Any], whole: Mapping[str, Any]) -> tuple[list[str | int], str] | None:
        """Where and how values break their schema, or None. Raises WorkFailed when that takes too long to find out."""
        if program_of(whole) is not None:
            return config_schema.violation(values, whole)
        found = self._workers.run("violation", [values, whole], SECONDS)
        return None if found is None else (found[0], found[1])

    def render(self, text: str, *, secret: bool = False) -> Rendered:
        """Render one value.

        Raises MissingKey, NotRendered for what is no template or cannot be rendered, and what lookup and decrypt raise.

        :param secret: as in StackStorm, an encrypted value that is the whole of it is decrypted without being asked.
        """
        sources = _Sources(self._lookup, self._decrypt)
        parts = parts_of(text)
        rendered = self._render(text, sources) if parts is None else self._joined(parts, sources)
        if secret:
            for entry in sources.used.values():
                if entry.secret and entry.value == rendered:
                    rendered = sources.decrypt("of the expression", rendered)
        self._characters -= len(rendered)
        is_secret = any(entry.secret for entry in sources.used.values())
        return Rendered(text=rendered, is_secret=is_secret, decrypted=sources.decrypted)

    def _joined(self, parts: list[str | Reference], sources: _Sources) -> str:
        texts: list[str] = []
        room = self._characters
        for part in parts:
            if isinstance(part, str):
                texts.append(part)
            else:
                name = self._starts[part.scope] + part.name
                value = sources.look_up(part.scope, name)
                texts.append(sources.decrypt(name, value) if part.decrypts else value)
            room -= len(texts[-1])
            if room < 0:
                raise NotRendered(_too_long(), sources.decrypted)
        return "".join(texts)

    def _render(self, text: str, sources: _Sources) -> str:
        """In a worker process, which says what it needs, until it has it all."""
        values: dict[str, dict[str, str]] = {SYSTEM_SCOPE: {}, USER_SCOPE: {}}
        plains: dict[str, str] = {}
        while True:
            told = self._told([text, self._starts, values, plains], sources)
            if told.get("needs") == "value":
                values[told["of"]][told["name"]] = sources.look_up(told["of"], told["name"])
            elif told.get("needs") == "plain":
                plains[told["of"]] = sources.decrypt(told["name"] or "of the expression", told["of"])
            elif "error" in told:
                raise NotRendered(told["error"], sources.decrypted)
            elif len(told["text"]) > self._characters:
                raise NotRendered(_too_long(), sources.decrypted)
            else:
                rendered: str = told["text"]
                return rendered

    def _told(self, arguments: list[Any], sources: _Sources) -> dict[str, Any]:
        try:
            told: dict[str, Any] = self._workers.run("render", arguments, max(0.0, self._seconds))
        except WorkExceeded as error:
            reason = f"the expressions take more than {SECONDS:g} s" if error.what == "time" else str(error)
            raise NotRendered(reason, sources.decrypted) from None
        except WorkFailed as error:
            raise NotRendered(str(error), sources.decrypted) from error
        self._seconds -= told["seconds"]
        return told

    @property
    def _starts(self) -> dict[str, str]:
        """By scope, how the stored names in it begin."""
        return {SYSTEM_SCOPE: "", USER_SCOPE: f"{self._user}:"}


@dataclass(slots=True)
class _Sources:
    """What one value takes from the datastore."""

    _lookup: Lookup
    _decrypt: Decrypt
    used: dict[tuple[str, str], KeyValue] = field(default_factory=dict)
    _plains: set[str] = field(default_factory=set)

    @property
    def decrypted(self) -> frozenset[str]:
        return frozenset(self._plains)

    def look_up(self, scope: str, name: str) -> str:
        """Raises MissingKey, and what lookup raises."""
        if (scope, name) not in self.used:
            entry = self._lookup(scope, name)
            if entry is None:
                raise MissingKey(scope, name)
            self.used[scope, name] = entry
        return self.used[scope, name].value

    def decrypt(self, name: str, ciphertext: str) -> str:
        plain = self._decrypt(name, ciphertext)
        self._plains.add(plain)
        return plain


def _too_long() -> str:
    return f"the texts have more than {CHARACTERS:,} characters when they are rendered"


def is_template(text: str) -> bool:
    """Whether text holds an expression, as StackStorm sees it."""
    return "{{" in text or "{%" in text
