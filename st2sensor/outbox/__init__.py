"""Events that are accepted and not yet published: durable, in order, and bounded."""
