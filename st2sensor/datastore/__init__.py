"""The datastore: keys, their values, secrets, and the triggers that announce changes."""
