"""`make bench`: compares st2sensor with the bare libraries, measured in one run on private servers."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.bench import commands, datastore, delivery, exits, latency, neighbours, placement, sharing, webhooks, weight
from tests.support.servers.mongodb import MongoDB
from tests.support.servers.rabbitmq import RabbitMQ
from tests.support.workspace import Workspace

BENCHES: dict[str, Callable[[Workspace], None]] = {
    "commands": commands.report,
    "weight": weight.report,
    "exits": exits.report,
    "latency": latency.report,
    "delivery": delivery.report,
    "datastore": datastore.report,
    "takeover": sharing.report_takeover,
    "cost": sharing.report_cost,
    "placement": placement.report,
    "webhooks": webhooks.report,
    "neighbours": neighbours.report,
}


def main() -> None:
    """Run the benches named as arguments, or all."""
    chosen = sys.argv[1:] or list(BENCHES)
    with tempfile.TemporaryDirectory(prefix="st2s-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        mongodb, rabbitmq = MongoDB(folder), RabbitMQ(folder)
        mongodb.start()
        rabbitmq.start()
        try:
            for bench in chosen:
                (folder / bench).mkdir()
                workspace = Workspace(folder / bench, database=mongodb.url, messaging=rabbitmq.url)
                try:
                    BENCHES[bench](workspace)
                finally:
                    workspace.close()
        finally:
            rabbitmq.stop()
            mongodb.stop()


if __name__ == "__main__":
    main()
