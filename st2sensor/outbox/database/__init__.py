"""The outbox's file: an SQLite database. A full disk, a deleted file and a damaged page are handled."""
