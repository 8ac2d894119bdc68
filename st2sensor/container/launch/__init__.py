"""Makes the processes of sensors."""
