"""Renders an expression in a worker process: in Jinja's sandbox, with the datastore values that it was given.

The process reaches neither the datastore nor its encryption key. It asks for a missing value, and is called again with
that value.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jinja2
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

PARENT_SCOPE = "st2kv"


class Needs(BaseException):
    """A request for a value. Code in an expression cannot catch it.

    :ivar told: the request as `rendered` returns it.
    """

    def __init__(self, what: str, name: str, of: str) -> None:
        super().__init__(what)
        self.told = {"needs": what, "name": name, "of": of}


def rendered(
    text: str,
    starts: Mapping[str, str],
    values: Mapping[str, Mapping[str, str]],
    plains: Mapping[str, str],
    secrets: Mapping[str, str],
) -> dict[str, Any]:
    """Render one text, or ask for a value that it needs.

    :param starts: the prefix of the stored names, by scope.
    :param values: the known values, by scope and name.
    :param plains: the known decrypted values, by ciphertext.
    :param secrets: the known results of `secret()`, by the arguments as a JSON array.

    Returns `text`; or `needs`, which is `value` with its `name` and the scope that it is `of`, or `plain` with a `name`
    for messages and the ciphertext that it is `of`, or `secret` with the arguments that it is `of`; or `error`, a
    message. It also returns the `seconds` that it took.
    """
    began = time.monotonic()
    told: dict[str, Any]
    try:
        told = {"text": renderer(starts, values, plains)(text, {"secret": _secret(secrets)})}
    except Needs as needs:
        told = needs.told
    except MemoryError:
        raise
    except Exception as exception:  # noqa: BLE001
        told = {"error": f"{type(exception).__name__}: {exception}"}
    return told | {"seconds": time.monotonic() - began}


def _secret(secrets: Mapping[str, str]) -> Callable[..., str]:
    """Return the function `secret` of expressions."""

    def secret(*arguments: object) -> str:
        asked = json.dumps([str(part) if isinstance(part, _Key) else part for part in arguments])
        try:
            return secrets[asked]
        except KeyError:
            raise Needs("secret", "", asked) from None

    return secret


def renderer(
    starts: Mapping[str, str],
    values: Mapping[str, Mapping[str, str]],
    plains: Mapping[str, str],
    filters: Mapping[str, Callable[..., Any]] | None = None,
) -> Callable[[str, Mapping[str, Any]], str]:
    """Return a function that renders a text, given further names that it may use.

    It raises Needs for a value that is not known, and every exception of Jinja and of its filters.

    :param starts: as for `rendered`, like the next two.
    :param filters: further filters by name.
    """

    def look_up(scope: str, name: str) -> str:
        try:
            return values[scope][name]
        except KeyError:
            raise Needs("value", name, scope) from None

    def decrypt(value: object) -> str:
        ciphertext = str(value)
        try:
            return plains[ciphertext]
        except KeyError:
            raise Needs("plain", value._full_name if isinstance(value, _Key) else "", ciphertext) from None

    environment = _Sandbox(undefined=jinja2.StrictUndefined)
    environment.filters |= {
        "decrypt_kv": decrypt,
        "from_json_string": lambda value: json.loads(str(value)),
        "to_json_string": json.dumps,
        **(filters or {}),
    }
    keys = {scope.removeprefix(f"{PARENT_SCOPE}."): _Key(look_up, scope, start, "") for scope, start in starts.items()}
    # The names without a parent are an older form in StackStorm.
    names = {PARENT_SCOPE: keys, **keys}
    return lambda text, context: environment.from_string(text).render({**names, **context})


class _Sandbox(ImmutableSandboxedEnvironment):
    """Gives expressions no access to Python, and multiplies only numbers, so that no product fills the memory."""

    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" or not (isinstance(left, int | float) and isinstance(right, int | float)):
            raise SecurityError("* is only for numbers, and ** is not allowed in configurations")
        return super().call_binop(context, operator, left, right)


class _Key:
    """A key below `st2kv.system`. Attributes and items extend its name, and conversion to text looks up its value.

    The sandbox refuses names that start with an underscore, so every other name can belong to a key.
    """

    def __init__(self, look_up: Callable[[str, str], str], scope: str, start: str, name: str) -> None:
        self._look_up = look_up
        self._scope = scope
        self._start = start
        self._name = name

    @property
    def _full_name(self) -> str:
        return f"{self._start}{self._name}"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> _Key:
        return _Key(self._look_up, self._scope, self._start, f"{self._name}.{name}" if self._name else str(name))

    def __str__(self) -> str:
        return self._look_up(self._scope, self._full_name)

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
