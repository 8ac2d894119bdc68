"""Text as commands print it: units, colours, escapes, tables."""
