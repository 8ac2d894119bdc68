"""Reads packs from disk, with their metadata and code, and registers them in storage."""
