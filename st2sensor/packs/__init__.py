"""What is on disk: packs, their metadata and code, and how it gets into storage."""
