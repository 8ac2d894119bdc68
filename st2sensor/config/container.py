"""`[sensorcontainer]`: the container, its name among nodes, and how it shares sensors."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

from oslo_config import cfg

from st2sensor.config.sections import section
from st2sensor.config.urls import api_url, listening
from st2sensor.settings import Container, Restarts, Sharing

SHARED = "shared"
"""The partition provider whose containers share sensors by leases."""

STACKSTORM_NODE_NAME = "sensornode1"


def container(group: cfg.ConfigOpts.GroupAttr, state_dir: Path, resolve: Callable[[str], Path]) -> Container:
    """Return the container's settings. Raises ValueError naming the key."""
    provider = _provider(group)
    if "partition_file" in provider:
        provider["partition_file"] = str(resolve(provider["partition_file"]))
    return section(
        Container,
        group,
        state_dir=state_dir,
        setup_timeout=group.setup_timeout or None,
        poll_timeout=group.poll_timeout or None,
        trigger_timeout=group.trigger_timeout or None,
        restarts=Restarts(
            delay=group.restart_delay,
            delay_max=group.restart_delay_max,
            jitter=group.restart_jitter,
            healthy_after=group.healthy_after,
            failing_after=group.failing_after,
        ),
        node_name=_node_name(group),
        partition_provider=provider,
        sharing=section(Sharing, group) if provider["name"] == SHARED else None,
        api_url=api_url(group.api_url),
        api_token_file=resolve(group.api_token_file) if group.api_token_file else None,
        http=None if group.http is None else listening("[sensorcontainer] http", group.http, group.http_token),
        http_token=group.http_token or None,
    )


def _provider(group: cfg.ConfigOpts.GroupAttr) -> dict[str, str]:
    """Return the partition provider's options. As in StackStorm, the name may have capital letters."""
    options: dict[str, str] = dict(group.partition_provider)
    return {**options, "name": options.get("name", "default").lower()}


def _node_name(group: cfg.ConfigOpts.GroupAttr) -> str:
    """Return this node's name. If sensors are shared, StackStorm's default would name every node alike."""
    is_default = group.sensor_node_name == STACKSTORM_NODE_NAME
    shares = _provider(group)["name"] == SHARED
    return socket.gethostname() if shares and is_default else str(group.sensor_node_name)
