"""References as users type them: the class of a sensor is enough if it is unique, and a mistake gets a suggestion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any

from st2sensor.cli.inspection import sensors
from st2sensor.cli.text.suggestions import MOST, did_you_mean
from st2sensor.errors import SensorNotFound, St2SensorError
from st2sensor.portable.keyspace import INSTANCE
from st2sensor.settings import Settings
from st2sensor.system.lazy import resolve


@contextmanager
def sensor_named(settings: Settings, name: str) -> Iterator[str]:
    """Yield the reference of a sensor. If the block raises SensorNotFound, suggest what the user may have meant.

    :param name: PACK.CLASS, or the class alone if only one pack has it.

    Raises SensorNotFound.
    """
    ref = name if "." in name else _by_class(settings, name)
    try:
        yield ref
    except SensorNotFound as error:
        known = _known(settings)
        named = [item for item in known if item.startswith(f"{ref}{INSTANCE}")]
        if named:
            raise SensorNotFound(f"{ref} runs as {', '.join(named[:MOST])}; name one of its instances") from error
        raise SensorNotFound(f"{error}{did_you_mean(ref, known)}") from error


def _by_class(settings: Settings, name: str) -> str:
    known = [report.ref for report in sensors.every(settings)]
    found = [ref for ref in known if ref.rpartition(".")[2] == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise SensorNotFound(f"several sensors are called {name}: {', '.join(found)}; name one of them")
    raise SensorNotFound(
        f"sensor {name} is not registered: check the name with st2sensor list, or run st2ctl reload"
        f"{did_you_mean(name, known)}"
    )


def _known(settings: Settings) -> list[str]:
    """Return the references of all sensors; none if neither a container nor the database can be read."""
    try:
        return [report.ref for report in sensors.every(settings)]
    except St2SensorError:
        return []


def unknown_names(settings: Settings, sensor: str, triggers: Iterable[str]) -> Iterator[str]:
    """Yield a line for each name that a filter looks for and nothing has; none if the names cannot be read.

    :param sensor: PACK.CLASS or the class alone; empty for none.
    :param triggers: references of triggers or trigger types.
    """
    known = _known(settings) if sensor else []
    if known and not any(sensor in (ref, ref.partition(".")[2]) for ref in known):
        yield f"no sensor is called {sensor}{did_you_mean(sensor, known)}"
    with suppress(St2SensorError):
        types = [ref for kind in ("TriggerType", "Trigger") for ref in stored(settings, kind)] if triggers else []
        for name in triggers:
            if types and name not in types:
                yield f"trigger {name} is not registered{did_you_mean(name, types)}"


def suggested_trigger(settings: Settings, name: str, *kinds: str) -> str:
    """Return the end of a message about an unknown trigger or type; empty if nothing is similar, or if it is known.

    :param kinds: names of the models whose references are similar.
    """
    try:
        known = [ref for kind in kinds for ref in stored(settings, kind)]
    except St2SensorError:
        return ""
    return "" if name in known else did_you_mean(name, known)


def stored(settings: Settings, kind: str) -> Sequence[str]:
    """Return the sorted references of everything of one kind. Raises StorageError.

    :param kind: the name of a model.
    """
    with closing(resolve("st2sensor.storage:open_storage")(settings.database)) as storage:
        found: list[Any] = storage.all(resolve(f"st2sensor.models:{kind}"))
    return sorted(item.ref for item in found)
