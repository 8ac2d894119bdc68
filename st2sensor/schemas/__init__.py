"""JSON Schema: checks whether a value fits a schema, and says why it does not."""
