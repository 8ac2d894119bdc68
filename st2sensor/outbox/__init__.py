"""Keeps accepted events until they are published: durable, in order, and bounded."""
