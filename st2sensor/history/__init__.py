"""The history: every event that has left the outbox, and what happened to it. It has a file of its own, history.db."""
