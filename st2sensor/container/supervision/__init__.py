"""The sensors of this node: their states, their processes, and what these say."""
