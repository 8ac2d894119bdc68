"""What the commands are called, take and help with: declarations, which load as little as --help needs."""
