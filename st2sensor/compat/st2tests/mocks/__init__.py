"""StackStorm's names for the stand-ins for its services."""
