"""Turns the events that sensors dispatch into entries of the outbox."""
