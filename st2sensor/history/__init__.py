"""The history: every event that has left the outbox, and the course it took. In a file of its own, history.db."""
