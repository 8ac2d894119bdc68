"""What operators see of a running container, and what they can do."""
