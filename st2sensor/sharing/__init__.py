"""How containers divide the sensors of one database: by static partitions, or by leases."""
