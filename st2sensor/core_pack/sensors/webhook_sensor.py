"""The sensor `core.WebhookSensor`."""

from __future__ import annotations

import asyncio
import resource
import socket
import threading
from collections.abc import Callable
from typing import Any

from st2sensor.core_pack.webhooks.hooks import Hooks
from st2sensor.core_pack.webhooks.server import Options, Server
from st2sensor.sensor import Sensor
from st2sensor.system.event_loop import call_in_loop
from st2sensor.system.http_listener import bound, refusal


class WebhookSensor(Sensor):
    """Listens for the webhooks that rules ask for: triggers of core.st2.webhook."""

    def setup(self) -> None:
        self._logger = self.sensor_service.get_logger(name=self.__class__.__name__)
        self._hooks = Hooks()
        self._options = Options(**self.config["webhooks"])
        # Before the rest, so that the start of this sensor fails, and says so, while the port is in use.
        self._sockets = self._bound()
        self._known = threading.Event()
        # An event, because CPython 3.11 considers a thread ended if its join() was interrupted.
        self._ended = threading.Event()
        self._failure: BaseException | None = None
        self._closing: Callable[[], object] | None = None
        # Each connection is an open file.
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    def run(self) -> None:
        # A request that arrives before the triggers are known would be answered with 404.
        self._known.wait()
        # A separate thread, because a stop raises an exception in this one, at any point.
        threading.Thread(target=self._serve, name="webhooks", daemon=True).start()
        self._ended.wait()
        if self._failure is not None:
            raise self._failure

    def cleanup(self) -> None:
        closing = self._closing
        if closing is not None:
            closing()
            self._ended.wait()

    def add_trigger(self, trigger: dict[str, Any]) -> None:
        self._logger.info("webhook %s is requested", self._hooks.put(trigger))

    def update_trigger(self, trigger: dict[str, Any]) -> None:
        self.add_trigger(trigger)

    def remove_trigger(self, trigger: dict[str, Any]) -> None:
        self._logger.info("webhook %s is no longer requested", self._hooks.remove(trigger))

    def triggers_known(self) -> None:
        self._known.set()

    def _bound(self) -> list[socket.socket]:
        try:
            return bound(self._options.host, self._options.port)
        except OSError as error:
            raise self._cannot_listen(error) from None

    def _cannot_listen(self, error: OSError) -> RuntimeError:
        place = f"{self._options.host}:{self._options.port}"
        return RuntimeError(f"[webhooks]: cannot listen at {place}: {refusal(error)}")

    def _serve(self) -> None:
        try:
            asyncio.run(self._listen())
        except OSError as error:
            self._failure = self._cannot_listen(error)
        except BaseException as error:  # noqa: BLE001 (raised again, in the sensor's own thread)
            self._failure = error
        finally:
            self._closing = None
            self._ended.set()

    async def _listen(self) -> None:
        loop, closing = asyncio.get_running_loop(), asyncio.Event()
        self._closing = lambda: call_in_loop(loop, closing.set)
        signatures = self.config.get("signatures") or {}
        server = Server(self._options, self._hooks, self.sensor_service, signatures, self._logger, self._sockets)
        await server.serve(closing)
