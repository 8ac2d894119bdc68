"""From an event that a sensor dispatches to an entry of the outbox."""
