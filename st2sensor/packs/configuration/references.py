"""Texts whose expressions are plain references, as in `https://{{ st2kv.system.host }}/` or `{{ secret('env', 'A') }}`.

They need no template engine, because Jinja's result for them is known in advance.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from st2sensor.models import SYSTEM_SCOPE, USER_SCOPE

SCOPES = {"system": SYSTEM_SCOPE, "user": USER_SCOPE}

REFERENCE = re.compile(
    r"""
    \{\{ [ \t\n]*
    (?: st2kv \. )? (?P<scope> system | user )
    (?P<name> (?: \. [A-Za-z] [A-Za-z0-9_]* | \[' [A-Za-z0-9_.:/\- ]+ '\] | \[" [A-Za-z0-9_.:/\- ]+ "\] )+ )
    [ \t\n]*
    (?P<filter> \| [ \t\n]* decrypt_kv [ \t\n]* )?
    \}\}
    """,
    re.VERBOSE | re.ASCII,
)
"""The sandbox refuses names that start with an underscore, so this does not match them. No two adjacent parts can match
the same character, so matching never backtracks."""

SECRET = re.compile(
    r"""
    \{\{ [ \t\n]* secret [ \t\n]* \( [ \t\n]*
    (?P<arguments> (?: '[^'"\\{}\r\n]*' | "[^'"\\{}\r\n]*" )
        (?: [ \t\n]* , [ \t\n]* (?: '[^'"\\{}\r\n]*' | "[^'"\\{}\r\n]*" ) )* )
    [ \t\n]* \) [ \t\n]* \}\}
    """,
    re.VERBOSE,
)
"""A call of `secret` whose arguments are plain texts."""

ARGUMENT = re.compile(r"'([^']*)'|\x22([^\x22]*)\x22")

PART = re.compile(r"""\. (\w+) | \[ ['"] ([^'"]+) ['"] \]""", re.VERBOSE | re.ASCII)

OTHER_TAGS = ("{%", "{#", "\r")
"""Statements, comments, and line ends that Jinja changes."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference to a key of the datastore.

    :param scope: the scope as stored.
    :param name: the key's name, without the user.
    :param decrypts: whether the filter `decrypt_kv` follows.
    """

    scope: str
    name: str
    decrypts: bool


@dataclass(frozen=True, slots=True)
class SecretReference:
    """A call of `secret` with its arguments, which may be wrong."""

    arguments: tuple[str, ...]


Part = str | Reference | SecretReference


def parts_of(text: str) -> list[Part] | None:
    """Return the texts and references that a text consists of, in order; None if it contains anything else."""
    if any(tag in text for tag in OTHER_TAGS):
        return None
    # Jinja also removes one trailing newline.
    text = text.removesuffix("\n")
    parts: list[Part] = []
    end = 0
    while (start := text.find("{{", end)) >= 0:
        found = SECRET.match(text, start)
        if found is not None:
            arguments = tuple(single or double for single, double in ARGUMENT.findall(found["arguments"]))
            parts += [text[end:start], SecretReference(arguments)]
            end = found.end()
            continue
        found = REFERENCE.match(text, start)
        if found is None:
            return None
        name = ".".join(dotted or quoted for dotted, quoted in PART.findall(found["name"]))
        parts += [text[end:start], Reference(SCOPES[found["scope"]], name, found["filter"] is not None)]
        end = found.end()
    return [*parts, text[end:]]
