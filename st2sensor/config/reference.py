"""`python -m st2sensor.config.reference`: docs/configuration.md, made of the options themselves."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from oslo_config import cfg

from st2sensor.config.options import GROUPS, STACKSTORMS

HEAD = """\
# Configuration reference

Every section and key of `st2.conf`. This page is made from the options by `make docs`; `conf/st2.conf` shows the same
keys as a file. StackStorm's keys have its names, defaults and meaning.

- The file is `--config-file FILE`, else `$ST2_CONF`, else `/etc/st2/st2.conf`. The option may be repeated; later files
  win. `--config-dir FOLDER` reads the `*.conf` files of a folder by name, over what was named before it.
- `ST2_<SECTION>__<KEY>` in the environment goes over the files, as in `ST2_SENSORCONTAINER__STOP_TIMEOUT=30`. An empty
  variable is as none.
- A relative path is relative to the folder of the file that is named last. `$section.key` in a value is another key's;
  `$$` is a `$`.
- A list is separated by commas; a mapping is written `key:value, key:value`.
- A value that cannot be is refused, with file and key, and exit code 78. A key that looks like one of these misspelt is
  warned of by each command, and in the container's log.
- All keys are read when a command or the container starts: restart the container after a change.
"""

TAIL = """\
## Keys that have no effect

StackStorm knows these, and st2sensor passes over them in silence. Those for retries are among them: brokers and
databases are tried for ever. Sections of other StackStorm services are not looked at.
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
    """The page, in Markdown."""
    return "\n".join([HEAD, *map(_section, GROUPS), TAIL, *_without_effect()])


def _section(name: str) -> str:
    rows = [
        f"| `{option.name}` | {_type(option)} | {_default(option)} | {_cell(option.help)} |" for option in GROUPS[name]
    ]
    return "\n".join([f"## [{name}]", "", "| key | type | default | meaning |", "|---|---|---|---|", *rows, ""])


def _type(option: cfg.Opt) -> str:
    choices = getattr(option.type, "choices", None)
    return " or ".join(f"`{choice}`" for choice in choices) if choices else TYPES[type(option)]


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
