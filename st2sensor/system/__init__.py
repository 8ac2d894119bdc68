"""What this host's kernel and Python do for us: threads, files, connections, environments."""
