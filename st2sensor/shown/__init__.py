"""Events as people see them: found in a history or an outbox, with secrets masked, and as a timeline."""
