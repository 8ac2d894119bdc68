"""StackStorm's name for URLs."""

__all__ = ["get_url_without_trailing_slash"]


def get_url_without_trailing_slash(value: str) -> str:
    return value[:-1] if value.endswith("/") else value
