"""Generated examples may take any time: what is slow here is the machine."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.plugins.examples import examples

settings.register_profile(
    "unhurried",
    parent=settings(),
    max_examples=examples(100),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("unhurried")
