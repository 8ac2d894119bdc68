"""StackStorm's names for what stands in for its services."""
