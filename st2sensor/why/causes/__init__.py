"""Finds causes in facts: pure functions, by place on the route of an event."""
