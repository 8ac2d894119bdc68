"""Information about sensors, containers and nodes, as commands need it."""
