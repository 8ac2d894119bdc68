"""Renders the `{{ st2kv... }}` expressions of a pack's configuration from the datastore.

As in StackStorm, expressions use `st2kv.system.NAME` and `st2kv.user.NAME`, where names may contain dots or be in
brackets, and the filter `decrypt_kv`. The user is the `[system_user]`. Beyond StackStorm, `secret(SOURCE, ...)` takes a
value from a file, the environment, Vault or a program.

Plain references are resolved here. All other expressions are rendered in a worker process, with limits on time and
memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from st2sensor.datastore.keyring import Keyring
from st2sensor.errors import WorkExceeded, WorkFailed
from st2sensor.models import SYSTEM_SCOPE, USER_SCOPE, KeyValue
from st2sensor.packs.configuration import checker
from st2sensor.packs.configuration.checker import Checker
from st2sensor.packs.configuration.references import Part, SecretReference, parts_of
from st2sensor.portable.isotime import utc_now
from st2sensor.storage.base import Storage
from st2sensor.workers.pool import Pool

FUNCTIONS = {
    "rendering": "st2sensor.packs.configuration.rendering:rendered",
    **checker.FUNCTION,
}
"""Functions that a pool for templates and checkers must have."""

RENDERING_TIMEOUT = 5.0
"""Seconds that the worker processes may take for all expressions of one configuration."""

MAX_RENDERED = 4_000_000
"""Characters of all rendered texts of one configuration."""

Lookup = Callable[[str, str], KeyValue | None]
"""Receives the scope and name as stored."""

ReadSecret = Callable[[Sequence[object]], str]
"""Receives the arguments of `secret`. Raises SecretError, and SecretNotRead where secrets are not read."""

Decrypt = Callable[[str, str], str]
"""Receives a name, for messages, and the ciphertext."""


class MissingKey(Exception):
    """The datastore has no such key."""

    def __init__(self, scope: str, name: str) -> None:
        super().__init__(f"the datastore has no key {name} in scope {scope}")
        self.scope = scope
        self.name = name


class NotRendered(Exception):
    """An expression cannot be rendered.

    :param secrets: texts to mask in the message.
    """

    def __init__(self, message: str, secrets: frozenset[str] = frozenset()) -> None:
        super().__init__(message)
        self.secrets = secrets


class SecretNotRead(Exception):
    """A secret that `secret()` names is not read in this process: only the container reads it."""


def not_read(_arguments: Sequence[object]) -> str:
    """Raise SecretNotRead."""
    raise SecretNotRead("only the container reads the secrets that secret() names")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A rendered text.

    :param is_secret: whether an encrypted value, or a result of `secret()`, went into the text.
    :param decrypted: the decrypted values, and the results of `secret()`, in it.
    """

    text: str
    is_secret: bool
    decrypted: frozenset[str]


class Templates:
    """Renders the expressions of one configuration, and counts the time and memory they take. Blocks.

    :param user: the owner of the keys under `st2kv.user`.
    :param workers: a pool with FUNCTIONS; None for a private one, which ends with this process.
    :param read_secret: reads the secrets that `secret()` names.
    """

    def __init__(
        self,
        lookup: Lookup,
        decrypt: Decrypt,
        user: str,
        workers: Pool | None = None,
        read_secret: ReadSecret = not_read,
    ) -> None:
        self._read_secret = read_secret
        self._lookup = lookup
        self._decrypt = decrypt
        self._user = user
        self._workers = workers or Pool(FUNCTIONS)
        self.checker = Checker(self._workers)
        self._seconds = RENDERING_TIMEOUT
        self._characters = MAX_RENDERED

    @classmethod
    def of(
        cls, storage: Storage, keyring: Keyring, user: str, workers: Pool, read_secret: ReadSecret = not_read
    ) -> Templates:
        """Return templates that read from storage; rendering also raises StorageError and StorageUnavailable."""

        def look_up(scope: str, name: str) -> KeyValue | None:
            return storage.get_value(scope, name, utc_now())

        return cls(look_up, keyring.decrypt, user, workers, read_secret)

    def afresh(self) -> Templates:
        """Return templates for another configuration, with the same datastore."""
        found = Templates(self._lookup, self._decrypt, self._user, self._workers, self._read_secret)
        # The checker remembers schemas: a thousand instances share one schema.
        found.checker = self.checker
        return found

    def noting(self, used: dict[str, str | None]) -> Templates:
        """Return templates that record every lookup, leave secrets encrypted, and do not call `secret()`.

        :param used: receives the value, or None, by scope and name.
        """

        def note(scope: str, name: str) -> KeyValue | None:
            entry = self._lookup(scope, name)
            used[f"{scope}:{name}"] = None if entry is None else entry.value
            return entry

        return Templates(note, lambda _, ciphertext: ciphertext, self._user, self._workers)

    def render(self, text: str, *, secret: bool = False) -> Rendered:
        """Render one value.

        Raises MissingKey, NotRendered, SecretError, SecretNotRead, and every exception that the lookup or the
        decryption raises.

        :param secret: whether to decrypt an encrypted value that is the whole text, as StackStorm does for secrets.
        """
        sources = _Sources(self._lookup, self._decrypt, self._read_secret)
        parts = parts_of(text)
        rendered = self._render(text, sources) if parts is None else self._joined(parts, sources)
        if secret:
            for entry in sources.used.values():
                if entry.secret and entry.value == rendered:
                    rendered = sources.decrypt("of the expression", rendered)
        self._characters -= len(rendered)
        is_secret = sources.has_secrets or any(entry.secret for entry in sources.used.values())
        return Rendered(text=rendered, is_secret=is_secret, decrypted=sources.decrypted)

    def _joined(self, parts: list[Part], sources: _Sources) -> str:
        texts: list[str] = []
        room = self._characters
        for part in parts:
            if isinstance(part, str):
                texts.append(part)
            elif isinstance(part, SecretReference):
                texts.append(sources.secret(part.arguments))
            else:
                name = self._starts[part.scope] + part.name
                value = sources.look_up(part.scope, name)
                texts.append(sources.decrypt(name, value) if part.decrypts else value)
            room -= len(texts[-1])
            if room < 0:
                raise NotRendered(_too_long(), sources.decrypted)
        return "".join(texts)

    def _render(self, text: str, sources: _Sources) -> str:
        """Render in a worker process, which asks for one datastore value after another."""
        values: dict[str, dict[str, str]] = {SYSTEM_SCOPE: {}, USER_SCOPE: {}}
        plains: dict[str, str] = {}
        secrets: dict[str, str] = {}
        while True:
            answer = self._answer([text, self._starts, values, plains, secrets], sources)
            if answer.get("needs") == "value":
                values[answer["of"]][answer["name"]] = sources.look_up(answer["of"], answer["name"])
            elif answer.get("needs") == "plain":
                plains[answer["of"]] = sources.decrypt(answer["name"] or "of the expression", answer["of"])
            elif answer.get("needs") == "secret":
                secrets[answer["of"]] = sources.secret(json.loads(answer["of"]))
            elif "error" in answer:
                raise NotRendered(answer["error"], sources.decrypted)
            elif len(answer["text"]) > self._characters:
                raise NotRendered(_too_long(), sources.decrypted)
            else:
                rendered: str = answer["text"]
                return rendered

    def _answer(self, arguments: list[Any], sources: _Sources) -> dict[str, Any]:
        """Call a worker process. Raises NotRendered."""
        try:
            answer: dict[str, Any] = self._workers.run("rendering", arguments, max(0.0, self._seconds))
        except WorkExceeded as error:
            reason = f"the expressions take more than {RENDERING_TIMEOUT:g} s" if error.what == "time" else str(error)
            raise NotRendered(reason, sources.decrypted) from None
        except WorkFailed as error:
            raise NotRendered(str(error), sources.decrypted) from error
        self._seconds -= answer["seconds"]
        return answer

    @property
    def _starts(self) -> dict[str, str]:
        """By scope, the prefix of the stored names in it."""
        return {SYSTEM_SCOPE: "", USER_SCOPE: f"{self._user}:"}


@dataclass(slots=True)
class _Sources:
    """The datastore values that one text uses."""

    _lookup: Lookup
    _decrypt: Decrypt
    _read_secret: ReadSecret
    has_secrets: bool = False
    """Whether it calls `secret()`."""
    used: dict[tuple[str, str], KeyValue] = field(default_factory=dict)
    _plains: set[str] = field(default_factory=set)

    @property
    def decrypted(self) -> frozenset[str]:
        return frozenset(self._plains)

    def look_up(self, scope: str, name: str) -> str:
        """Return a stored value. Raises MissingKey, and every exception that the lookup raises."""
        if (scope, name) not in self.used:
            entry = self._lookup(scope, name)
            if entry is None:
                raise MissingKey(scope, name)
            self.used[scope, name] = entry
        return self.used[scope, name].value

    def secret(self, arguments: Sequence[object]) -> str:
        """Return the result of `secret()`. Raises SecretError and SecretNotRead."""
        self.has_secrets = True
        plain = self._read_secret(arguments)
        self._plains.add(plain)
        return plain

    def decrypt(self, name: str, ciphertext: str) -> str:
        plain = self._decrypt(name, ciphertext)
        self._plains.add(plain)
        return plain


def _too_long() -> str:
    return f"the rendered texts have more than {MAX_RENDERED:,} characters"


def is_template(text: str) -> bool:
    """Return whether StackStorm would render a text."""
    return "{{" in text or "{%" in text
