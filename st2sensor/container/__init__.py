"""The parent daemon: starts, watches and stops sensors, and does for them what needs a connection or a secret."""
