"""Reads configuration files, and the variables that override them, with oslo.config. Finds misspelt keys."""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence

from oslo_config import cfg

from st2sensor.config.options.sections import GROUPS, STACKSTORMS, STACKSTORMS_SECTIONS
from st2sensor.errors import AccessDenied, ConfigError, St2SensorError

CLOSE = 0.8
"""Similarity of two words, from 0 to 1, above which one may be a misspelling of the other."""


def files_of(path: str) -> list[str]:
    """Return a configuration file, or a folder's files in order of their names. Raises ConfigError."""
    try:
        if os.path.isdir(path):
            return sorted(entry.path for entry in os.scandir(path) if entry.name.endswith(".conf") and entry.is_file())
    except OSError as exception:
        raise ConfigError(f"{path}: {exception.strerror}; make the folder readable") from exception
    try:
        is_file = stat.S_ISREG(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        is_file = False
    except OSError as exception:
        raise _denied(path, exception) from exception
    if not is_file:
        raise ConfigError(f"no configuration file at {path}: name one with --config-file or $ST2_CONF")
    if not os.access(path, os.R_OK, effective_ids=True):
        raise _denied(path, None)
    return [path]


def _denied(path: str, exception: OSError | None) -> St2SensorError:
    if exception is not None and not isinstance(exception, PermissionError):
        return ConfigError(f"{path}: {exception.strerror}; name another file with --config-file or $ST2_CONF")
    return AccessDenied(
        f"{path}: this user may not read it; run this as root, or as a member of the file's group, or name another "
        "file with --config-file or $ST2_CONF"
    )


def parse(files: Sequence[str], variables: Mapping[str, str]) -> cfg.ConfigOpts:
    """Return the values of all options. Raises cfg.Error, ConfigError, and ValueError naming the key."""
    options = cfg.ConfigOpts()
    for group, registered in GROUPS.items():
        options.register_opts(registered, group=group)
    try:
        options(args=[], project="st2", default_config_files=list(files), default_config_dirs=[], use_env=False)
    except cfg.ConfigFileParseError as exception:
        # Its text names the file twice.
        told = str(exception).partition(": at ")[2].replace(", ", ": ", 1) or str(exception)
        raise ConfigError(f"{told}; write [SECTION] above KEY = VALUE, as in conf/st2.conf") from None
    for group, registered in GROUPS.items():
        for option in registered:
            variable = f"ST2_{group}__{option.name}".upper()
            try:
                if variables.get(variable):
                    options.set_override(option.name, variables[variable], group=group)
                options[group][option.dest]
            except (cfg.TemplateSubstitutionError, cfg.NoSuchOptError):
                place = variable if variables.get(variable) else f"[{group}] {option.name}"
                raise ValueError(f"{place}: the text after $ is not a key: write $ as $$") from None
            except (cfg.ConfigFileValueError, ValueError) as exception:
                reason = str(exception).partition(" is not valid: ")[2] or exception
                place = variable if variables.get(variable) else f"[{group}] {option.name}"
                raise ValueError(f"{place}: {reason}; meaning of this key: {option.help}") from exception
    return options


def misspelt(files: Sequence[str]) -> Iterator[str]:
    """Yield a warning for each unknown section and key that resembles one of ours, unless StackStorm knows it."""
    for path in map(os.path.normpath, files):
        sections: dict[str, dict[str, list[str]]] = {}
        cfg.ConfigParser(path, sections).parse()
        for section, keys in sections.items():
            if section in STACKSTORMS_SECTIONS:
                continue
            if section not in GROUPS:
                yield from _warnings(path, f"section [{section}]", section, GROUPS)
                continue
            ours = [option.name for option in GROUPS[section]]
            for key in keys:
                if key not in ours and key not in STACKSTORMS.get(section, "").split():
                    yield from _warnings(path, f"[{section}] {key}", key, ours)


def misspelt_variables(variables: Mapping[str, str]) -> Iterator[str]:
    """Yield a warning for each unknown variable that resembles one of ours, unless StackStorm knows its section."""
    ours = [f"ST2_{group}__{option.name}".upper() for group, options in GROUPS.items() for option in options]
    known = {f"ST2_{section}".upper() for section in STACKSTORMS_SECTIONS}
    for name in sorted(variables):
        if name.startswith("ST2_") and "__" in name and name not in ours and name.partition("__")[0] not in known:
            yield from _warnings("the environment", name, name, ours)


def _warnings(path: str, place: str, word: str, known: Sequence[str] | Mapping[str, object]) -> Iterator[str]:
    for meant in difflib.get_close_matches(word, list(known), n=1, cutoff=CLOSE):
        yield f"{path}: {place} is not known and has no effect; did you mean {meant}?"
