"""Containers that share the sensors of one database: who holds which, under leases."""
