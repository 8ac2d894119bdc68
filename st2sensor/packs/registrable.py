"""The choices for registering packs: kinds of content, and virtualenvs."""

from __future__ import annotations

SENSORS, TRIGGERS, RULES = "sensors", "triggers", "rules"
KINDS = (TRIGGERS, SENSORS, RULES)

MISSING, RECREATE = "missing", "recreate"
"""The virtualenvs to make."""
