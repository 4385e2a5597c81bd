"""Reads environment variables as env files and container platforms set them."""

import os
import re
from typing import Final

NOTHING: Final = "\r\n\ufeff"  # characters that an editor on Windows may add to an empty value
# docker run and podman keep the quotes around a value in an env file; Compose, systemd and shells remove them.
QUOTED: Final = re.compile(r"""[\s\ufeff]*("([^"]*)"|'([^']*)')[\s\ufeff]*""")
# Kubernetes and Docker's links set NAME_PORT for a service called `name`.
SERVICE_LINK: Final = re.compile(r"(tcp|udp|sctp)://\S+:[0-9]+")


def read_variable(name: str, value: str | None) -> str | None:
    """Return the value of a setting's variable without surrounding quotes; None if it counts as not set."""
    if not value or not value.strip(NOTHING) or (name.endswith("_PORT") and SERVICE_LINK.fullmatch(value)):
        return None
    quoted = QUOTED.fullmatch(value)
    return quoted[2] or quoted[3] or None if quoted else value


def expanded(text: str) -> str:
    """Return a path with a leading `~` or `~user` replaced by the home directory, as in a shell.

    Compose, systemd and `.env` files do not replace it. Raise `ValueError` if there is no home directory.
    """
    path = os.path.expanduser(text)
    is_nowhere = not os.path.isabs(path) or (text[1:2] in ("", "/") and os.environ.get("HOME") == "")
    if text.startswith("~") and is_nowhere:
        raise ValueError(f"{text} begins with ~, but there is no such home directory; give the full path, or ./{text}")
    return path
