"""Sends one event to a target, and judges the answer."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

import st2sensor
from st2sensor.api.cloudevents import CONTENT_TYPE, text_of
from st2sensor.history.event import Recorded
from st2sensor.push.signature import signed
from st2sensor.push.targets import Target
from st2sensor.system.threads import Threads

LARGEST_ANSWER = 65_536
"""Maximum number of bytes of an answer that are read, so that its connection can be used again."""

LATER = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)
"""Statuses below 500 that ask for another attempt."""

LOOKUP_THREADS = 2
"""Threads for name lookups, which have no deadline of their own."""

SUCCESS, REDIRECT, REFUSAL, FAILURE = 200, 300, 400, 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The result of a request.

    :param problem: why the event was not taken; empty if it was.
    :param is_refusal: whether the receiver will probably never accept it.
    :param is_silence: whether there was no answer at all.
    :param retry_after: seconds that the receiver asks for; 0 if it asks for none.
    """

    problem: str = ""
    is_refusal: bool = False
    is_silence: bool = False
    retry_after: float = 0.0


def judged(status: int, retry_after: str = "") -> Answer:
    """Return the meaning of a status, and of the header Retry-After."""
    if SUCCESS <= status < REDIRECT:
        return Answer()
    if status < REFUSAL:
        problem = f"HTTP {status}: redirects are not followed; correct its url"
    elif status == HTTPStatus.GONE:
        problem = "HTTP 410: the receiver wants no more events; if that is right, remove the target"
    else:
        problem = f"HTTP {status}"
    return Answer(
        problem=problem,
        is_refusal=status < FAILURE and status not in LATER,
        retry_after=float(retry_after) if retry_after.isascii() and retry_after.isdigit() else 0.0,
    )


class Sender:
    """Owns the connections. For one loop.

    :param timeout: seconds that a request may take, from the name lookup to the answer.
    :param clock: seconds since the epoch.
    """

    def __init__(self, timeout: float, clock: Callable[[], float] = time.time) -> None:
        self._timeout = timeout
        self._clock = clock
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, resolver=_Resolver()),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=timeout),
            headers={"User-Agent": f"st2sensor/{st2sensor.__version__}"},
        )

    async def send(self, target: Target, event: Recorded) -> Answer:
        """Send an event, once."""
        body = text_of(event).encode()
        headers = {"Content-Type": CONTENT_TYPE, **signed(target.secrets, event.message_id, int(self._clock()), body)}
        try:
            async with self._session.post(
                target.url, data=body, headers=headers, allow_redirects=False, ssl=target.tls or True
            ) as response:
                await _drain(response)
                return judged(response.status, response.headers.get("Retry-After", ""))
        except TimeoutError:
            return Answer(problem=f"no answer within {self._timeout:g} s", is_silence=True)
        except aiohttp.ClientConnectorCertificateError as error:
            return Answer(problem=f"its certificate is not trusted: {error.certificate_error}", is_silence=True)
        except aiohttp.ClientConnectorError as error:
            return Answer(problem=f"cannot be reached: {error.os_error.strerror or error.os_error}", is_silence=True)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # The text of other errors may quote the URL, which may hold a token.
            return Answer(problem=f"the connection failed ({type(error).__name__})", is_silence=True)

    async def close(self) -> None:
        await self._session.close()


class _Resolver(AbstractResolver):
    """Looks names up in daemon threads, so that the end of the process does not wait for a lookup."""

    def __init__(self) -> None:
        self._threads = Threads(LOOKUP_THREADS, "push-names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        look_up = partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, look_up)
        return [
            ResolveResult(
                hostname=host, host=str(address[0]), port=port, family=kind, proto=proto, flags=socket.AI_NUMERICHOST
            )
            for kind, _, proto, _, address in found
        ]

    async def close(self) -> None:
        self._threads.shutdown(wait=False)


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Read a short answer to its end; the connection of a longer one is closed."""
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > LARGEST_ANSWER:
            response.close()
            return
