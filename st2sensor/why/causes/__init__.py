"""Finds causes in facts: pure functions, by place on the way of an event."""
