"""A fake of one collection of a Kubernetes API server: list in pages, watch, bookmarks, and a history that is cut."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web

PAUSE = 0.05
"""Seconds between two looks of a watch for changes."""

Change = tuple[int, str, dict[str, Any]]


class Cluster:
    """Pods of a namespace. Its methods may be called from any thread."""

    def __init__(self, token: str) -> None:
        self._token = token
        self.version = 100
        self._pods: dict[str, dict[str, Any]] = {}
        self._changes: list[Change] = []
        self._oldest = self.version
        self.watches = 0
        """Number of watches that have begun."""
        self.refuses = False
        """Whether a watch of changes that are gone is refused at once, and not in its first line."""

    def change(self, kind: str, name: str) -> None:
        """Add, modify or delete a pod."""
        self.version += 1
        metadata = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "resourceVersion": str(self.version)}
        pod = {"kind": "Pod", "metadata": {**metadata, "managedFields": [{"manager": "kubelet"}]}}
        self._pods[name] = pod
        if kind == "DELETED":
            del self._pods[name]
        self._changes.append((self.version, kind, pod))

    def mark(self) -> None:
        """Tell all watches with a bookmark that they have seen everything."""
        self.version += 1
        bookmark = {"kind": "Pod", "metadata": {"resourceVersion": str(self.version)}}
        self._changes.append((self.version, "BOOKMARK", bookmark))

    def forget(self) -> None:
        """Forget all changes until now, as a server does after some minutes."""
        self._changes.clear()
        self._oldest = self.version

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {self._token}":
            return web.json_response({"kind": "Status", "code": 401}, status=401)
        if request.path != "/api/v1/namespaces/shop/pods" or request.query["labelSelector"]:
            return web.json_response({"kind": "Status", "code": 404}, status=404)
        return await self._watch(request) if "watch" in request.query else self._list(request)

    def _list(self, request: web.Request) -> web.Response:
        begin, limit = int(request.query.get("continue", "0")), int(request.query["limit"])
        pods = [self._pods[name] for name in sorted(self._pods)]
        rest = str(begin + limit) if begin + limit < len(pods) else ""
        metadata = {"resourceVersion": str(self.version), **({"continue": rest} if rest else {})}
        return web.json_response({"kind": "PodList", "metadata": metadata, "items": pods[begin : begin + limit]})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        assert request.query["allowWatchBookmarks"] == "true"
        self.watches += 1
        seen = int(request.query["resourceVersion"])
        gone = {"kind": "Status", "code": 410, "message": "too old resource version"}
        if seen < self._oldest and self.refuses:
            return web.json_response(gone, status=410)
        stream = web.StreamResponse()
        stream.enable_chunked_encoding()
        await stream.prepare(request)
        if seen < self._oldest:
            await _write(stream, "ERROR", gone)
            return stream
        loop = asyncio.get_running_loop()
        until = loop.time() + int(request.query["timeoutSeconds"])
        while loop.time() < until:
            for version, kind, found in [change for change in self._changes if change[0] > seen]:
                await _write(stream, kind, found)
                seen = version
            await asyncio.sleep(PAUSE)
        return stream


async def _write(stream: web.StreamResponse, kind: str, found: dict[str, Any]) -> None:
    line = json.dumps({"type": kind, "object": found}).encode() + b"\n"
    # In two parts: a line has no need to come in one.
    await stream.write(line[:20])
    await stream.write(line[20:])
