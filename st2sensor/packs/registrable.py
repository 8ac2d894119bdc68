"""What can be asked for when packs are registered: kinds of content, and virtualenvs."""

from __future__ import annotations

SENSORS, TRIGGERS, RULES = "sensors", "triggers", "rules"
KINDS = (TRIGGERS, SENSORS, RULES)

MISSING, ANEW = "missing", "anew"
"""Which virtualenvs to make."""
