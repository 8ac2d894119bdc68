"""Trigger instances as commands receive, record and publish them."""
