"""Delivers events from the outbox to the broker."""
