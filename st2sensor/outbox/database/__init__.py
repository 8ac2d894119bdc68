"""The outbox's file: an SQLite database that survives a full disk, a deleted file, and a damaged page."""
