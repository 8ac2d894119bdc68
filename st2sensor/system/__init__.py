"""Access to this host's kernel and Python: threads, files, connections, environments."""
