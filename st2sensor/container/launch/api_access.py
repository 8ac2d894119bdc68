"""Access to StackStorm's API for sensors that use st2client: its URL and a token, as an operator configures them."""

from __future__ import annotations

from st2sensor.errors import ConfigError
from st2sensor.settings import Container
from st2sensor.system import regular_file

LONGEST = 4096
"""Maximum number of characters of a token."""


def variables(settings: Container) -> dict[str, str]:
    """Return the environment variables that st2client reads. Blocks on a file. Raises ConfigError."""
    found = {} if settings.api_url is None else {"ST2_API_URL": settings.api_url}
    token = token_of(settings)
    return found if token is None else found | {"ST2_AUTH_TOKEN": token}


def token_of(settings: Container) -> str | None:
    """Return the token, or None if none is configured. Blocks on a file.

    Raises ConfigError, whose message never shows the content of the file.
    """
    if settings.api_token_file is None:
        return None
    name = f"[sensorcontainer] api_token_file = {settings.api_token_file}"
    try:
        text = regular_file.read(settings.api_token_file, 2 * LONGEST).decode("ascii").strip()
    except OSError as error:
        raise ConfigError(
            f"{name}: it cannot be read: {regular_file.reason(error)}; correct the path or its permissions"
        ) from None
    except ValueError:
        text = ""
    if not text or len(text) > LONGEST or not text.isascii() or not text.isprintable() or " " in text:
        raise ConfigError(f"{name}: it does not hold a token; write the token into it, on one line, with nothing else")
    return text
