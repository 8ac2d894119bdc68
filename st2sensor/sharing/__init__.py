"""Divides the sensors of one database among containers: by static partitions, or by leases."""
