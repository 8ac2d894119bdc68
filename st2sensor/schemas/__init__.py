"""JSON Schema: what fits a schema, and why something does not."""
