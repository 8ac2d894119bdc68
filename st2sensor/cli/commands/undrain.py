"""`st2sensor undrain`: let a drained node take sensors again."""

from __future__ import annotations

from collections.abc import Sequence

from st2sensor.cli.configuration import configured
from st2sensor.cli.inspection import leases
from st2sensor.cli.text.outcome import print_outcome
from st2sensor.cli.text.printable import in_line


def undrain(config_files: Sequence[str], *, node: str, json_output: bool) -> None:
    """Undo a drain. Raises NodeNotFound, StorageError."""
    with leases.opened(configured(config_files)) as opened:
        overview = leases.overview(opened)
        leases.require_node(node, overview)
        opened.drain(node, drained=False)
    is_changed = node in overview.drained
    line = f"{node} takes sensors again" if is_changed else f"{node} was not drained"
    print_outcome(json_output, in_line(line), node=node, drained=False, changed=is_changed)
