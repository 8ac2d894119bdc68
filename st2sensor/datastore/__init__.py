"""The datastore: keys, their values, secrets, and the triggers of their changes."""
