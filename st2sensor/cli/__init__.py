"""The command line: programs, each with `main(argv=None) -> int`; `commands` declares, the other modules run them."""
