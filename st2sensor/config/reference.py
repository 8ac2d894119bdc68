"""Prints docs/configuration.md, made from the options: `python -m st2sensor.config.reference`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from oslo_config import cfg

from st2sensor.config.options.sections import GROUPS, STACKSTORMS

HEAD = """\
# Configuration reference

This page lists every section and key of `st2.conf`. `make docs` generates it from the options; `conf/st2.conf` shows
the same keys as a file. StackStorm's keys keep their names, defaults and meaning.

- The file is `--config-file FILE`, or else `$ST2_CONF`, or else `$ST2_CONFIG_PATH`, or else `/etc/st2/st2.conf`. The
  option may be repeated; later files override earlier ones. `--config-dir FOLDER` reads the `*.conf` files of a folder
  in order of their names; they override files named before.
- An environment variable `ST2_<SECTION>__<KEY>`, such as `ST2_SENSORCONTAINER__STOP_TIMEOUT=30`, overrides all files.
  An empty variable counts as unset.
- A relative path is relative to the folder of the last file that is named. In a value, `$section.key` stands for the
  value of another key, and `$$` for a single `$`.
- Items of a list are separated by commas; a mapping is written `key:value, key:value`.
- An invalid value is refused: the message names the file and the key, and the exit code is 78. For an unknown key that
  resembles one of these, each command prints a warning, and the container logs one.
- Commands and the container read all keys when they start: restart the container after a change.
"""

TAIL = """\
## Keys that have no effect

These keys exist in StackStorm; st2sensor silently ignores them. They include the limits on retries, because st2sensor
keeps trying to reach brokers and databases without a limit. Sections of other StackStorm services are also ignored.
"""

TYPES: dict[type[cfg.Opt], str] = {
    cfg.StrOpt: "text",
    cfg.PortOpt: "port",
    cfg.IntOpt: "whole number",
    cfg.FloatOpt: "number",
    cfg.BoolOpt: "true or false",
    cfg.ListOpt: "list",
    cfg.DictOpt: "mapping",
}


def reference() -> str:
    """Return the page in Markdown."""
    return "\n".join([HEAD, *map(_section, GROUPS), TAIL, *_without_effect()])


def _section(name: str) -> str:
    rows = [
        f"| `{option.name}` | {_type(option)} | {_default(option)} | {_cell(option.help)} |" for option in GROUPS[name]
    ]
    return "\n".join([f"## [{name}]", "", "| key | type | default | meaning |", "|---|---|---|---|", *rows, ""])


def _type(option: cfg.Opt) -> str:
    choices = getattr(option.type, "choices", None)
    if choices:
        return " or ".join(f"`{choice}`" for choice in choices)
    low, high = getattr(option.type, "min", None), getattr(option.type, "max", None)
    if isinstance(option, cfg.PortOpt) or low is high is None:
        return TYPES[type(option)]
    bounds = [f"{word} {bound}" for word, bound in (("at least", low), ("at most", high)) if bound is not None]
    return f"{TYPES[type(option)]}, {' and '.join(bounds)}"


def _default(option: cfg.Opt) -> str:
    if option.default is None or option.default in ("", []):
        return ""
    if isinstance(option.default, dict):
        return f"`{', '.join(f'{key}:{value}' for key, value in option.default.items())}`"
    return f"`{option.default:g}`" if isinstance(option.default, float) else f"`{option.default}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _without_effect() -> Iterator[str]:
    for section, keys in STACKSTORMS.items():
        named = ", ".join(f"`{key}`" for key in keys.split())
        yield textwrap.fill(f"- `[{section}]` {named}", 120, subsequent_indent="  ", break_long_words=False)
    yield ""


if __name__ == "__main__":
    print(reference(), end="")
