"""The operators' view of a running container, and the operations that they can perform."""
