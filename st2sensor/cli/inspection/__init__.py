"""What commands find out about sensors, containers and nodes."""
