"""Machinery that tests share, such as workspaces, servers and browsers. It tests nothing itself."""
