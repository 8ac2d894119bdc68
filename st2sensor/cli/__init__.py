"""The command line: a module with `main(argv=None) -> int` for each program, and the code of their commands."""
