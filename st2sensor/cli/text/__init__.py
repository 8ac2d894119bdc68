"""Text for people: times, sizes, colours, tables."""
