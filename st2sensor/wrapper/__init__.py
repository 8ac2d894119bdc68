"""The child process that runs one sensor. Standard library only, CPython 3.9: it runs inside packs' interpreters."""
