"""Renders the `{{ st2kv... }}` expressions of a pack's configuration, in a sandbox, from the datastore.

Follows StackStorm: `st2kv.system.NAME` and `st2kv.user.NAME`, with dots in the name or in brackets, and the filter
`decrypt_kv`. The keys of a user are those of the `[system_user]`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jinja2
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from st2sensor.datastore import utc_now
from st2sensor.errors import St2SensorError
from st2sensor.keyring import Keyring
from st2sensor.models import SYSTEM_SCOPE, USER_SCOPE, KeyValue
from st2sensor.storage.base import Storage

PARENT_SCOPE = "st2kv"

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

    def __init__(self, message: str, secrets: frozenset[str]) -> None:
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
    """Blocks, as lookup does.

    :param user: whose keys `st2kv.user` are.
    """

    def __init__(self, lookup: Lookup, decrypt: Decrypt, user: str) -> None:
        self._lookup = lookup
        self._decrypt = decrypt
        self._user = user

    @classmethod
    def of(cls, storage: Storage, keyring: Keyring, user: str) -> Templates:
        """From the datastore as it is; rendering raises StorageError and StorageUnavailable, too."""
        return cls(lambda scope, name: storage.get_value(scope, name, utc_now()), keyring.decrypt, user)

    def noting(self, used: dict[str, str | None]) -> Templates:
        """The same, but secrets stay encrypted, and what is looked up is noted: a value, or None, by scope and name."""

        def note(scope: str, name: str) -> KeyValue | None:
            entry = self._lookup(scope, name)
            used[f"{scope}:{name}"] = None if entry is None else entry.value
            return entry

        return Templates(note, lambda _, ciphertext: ciphertext, self._user)

    def render(self, text: str, *, secret: bool = False) -> Rendered:
        """Render one value.

        Raises MissingKey, NotRendered for what is no template or cannot be rendered, and what lookup and decrypt raise.

        :param secret: as in StackStorm, an encrypted value that is the whole of it is decrypted without being asked.
        """
        used: list[KeyValue] = []
        decrypted: set[str] = set()

        def look_up(scope: str, name: str) -> KeyValue:
            entry = self._lookup(scope, name)
            if entry is None:
                raise MissingKey(scope, name)
            used.append(entry)
            return entry

        def decrypt(value: object) -> str:
            name = value.stored_name if isinstance(value, _Key) else "of the expression"
            plain = self._decrypt(name, str(value))
            decrypted.add(plain)
            return plain

        environment = _Sandbox(undefined=jinja2.StrictUndefined)
        environment.filters |= {
            "decrypt_kv": decrypt,
            "from_json_string": lambda value: json.loads(str(value)),
            "to_json_string": json.dumps,
        }
        system = _Key(look_up, SYSTEM_SCOPE, "", "")
        user = _Key(look_up, USER_SCOPE, f"{self._user}:", "")
        # The names without a parent are older ones of StackStorm's.
        names = {PARENT_SCOPE: {"system": system, "user": user}, "system": system, "user": user}
        try:
            rendered = environment.from_string(text).render(names)
        except (MissingKey, St2SensorError):
            raise
        except Exception as exception:
            raise NotRendered(f"{type(exception).__name__}: {exception}", frozenset(decrypted)) from exception
        if secret:
            for entry in used:
                if entry.secret and entry.value == rendered:
                    rendered = decrypt(rendered)
        return Rendered(text=rendered, is_secret=any(entry.secret for entry in used), decrypted=frozenset(decrypted))


class _Sandbox(ImmutableSandboxedEnvironment):
    """Nothing of Python can be reached, and no product of a few characters fills the memory."""

    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" or not (isinstance(left, int | float) and isinstance(right, int | float)):
            raise SecurityError(f"{operator} is for numbers, and ** is not for configurations")
        return super().call_binop(context, operator, left, right)


def is_template(text: str) -> bool:
    """Whether text holds an expression, as StackStorm sees it."""
    return "{{" in text or "{%" in text


class _Key:
    """What stands behind `st2kv.system`: attributes and items lengthen the name, and text is what is looked up."""

    def __init__(self, look_up: Callable[[str, str], KeyValue], scope: str, start: str, name: str) -> None:
        self._look_up = look_up
        self._scope = scope
        self._start = start
        self._name = name

    @property
    def stored_name(self) -> str:
        return f"{self._start}{self._name}"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> _Key:
        return _Key(self._look_up, self._scope, self._start, f"{self._name}.{name}" if self._name else str(name))

    def __str__(self) -> str:
        return self._look_up(self._scope, self.stored_name).value

    def __bool__(self) -> bool:
        return bool(str(self))

    def __int__(self) -> int:
        return int(str(self))

    def __float__(self) -> float:
        return float(str(self))

    def __len__(self) -> int:
        return len(str(self))

    def __contains__(self, part: object) -> bool:
        return str(part) in str(self)

    def __iter__(self) -> Iterator[str]:
        return iter(str(self))

    def __eq__(self, other: object) -> bool:
        return str(self) == (str(other) if isinstance(other, _Key) else other)

    def __hash__(self) -> int:
        return hash(str(self))
