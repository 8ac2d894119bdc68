"""The datastore's part of the wrapper protocol."""
