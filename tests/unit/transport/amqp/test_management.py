"""RabbitMQ's management API, answered by a stand-in."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from st2sensor.transport.amqp.management import Management
from st2sensor.transport.route import Route

ROUTE = Route(address="amqp://h", virtual_host="/", exchange="st2.x", exists=True, queues=(), is_complete=False)
BOUND = "/api/exchanges/%2F/st2.x/bindings/source"
GOOD: dict[str, Any] = {
    BOUND: [
        {"destination_type": "queue", "destination": "q", "routing_key": "#"},
        {"destination_type": "queue", "destination": "q", "routing_key": "net.*"},
        {"destination_type": "exchange", "destination": "e", "routing_key": "#"},
    ],
    "/api/queues/%2F/q": {"messages": 5, "consumers": "many"},
    "/api/exchanges?columns=vhost,name": [
        {"vhost": "/", "name": "st2.x"},
        {"vhost": "other", "name": "st2.x"},
        {"vhost": "/", "name": "amq.topic"},
    ],
}


@pytest.fixture
def serve() -> Iterator[Callable[[dict[str, Any]], Management]]:
    servers: list[HTTPServer] = []

    def start(answers: dict[str, Any]) -> Management:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                known = self.path in answers and self.headers["Authorization"] == "Basic dTpwQHM="
                body = json.dumps(answers.get(self.path)).encode()
                self.send_response(200 if known else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return Management(f"http://u:p%40s@127.0.0.1:{server.server_port}")

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_all_queues_are_found_with_their_bindings(serve: Callable[[dict[str, Any]], Management]) -> None:
    route = serve(GOOD).completed(ROUTE)
    (queue,) = route.queues
    assert (queue.name, queue.bindings, queue.messages, queue.consumers) == ("q", ("#", "net.*"), 5, None)
    assert (route.is_complete, route.others, route.note) == (True, ("st2.x in other",), "")


@pytest.mark.parametrize("answers", [{}, {**GOOD, BOUND: 5}, {**GOOD, BOUND: [{}]}, {**GOOD, BOUND: "x" * 9_000_000}])
def test_an_api_that_fails_is_noted(serve: Callable[[dict[str, Any]], Management], answers: dict[str, Any]) -> None:
    route = serve(answers).completed(ROUTE)
    assert (route.queues, route.is_complete) == ((), False)
    assert "does not list the bindings" in route.note
    assert "p@s" not in route.note


def test_an_api_that_is_away_is_noted() -> None:
    assert "does not list" in Management("http://u:p@127.0.0.1:1").completed(ROUTE).note
