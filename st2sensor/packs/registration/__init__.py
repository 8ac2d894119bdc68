"""From the files of packs to storage."""
