"""Environment variables as env files and container platforms bring them."""

import os
import re
from typing import Final

NOTHING: Final = "\r\n\ufeff"  # what an editor on Windows may put around an empty value
# docker run and podman keep the quotes of a line in an env file; Compose, systemd and shells take them away.
QUOTED: Final = re.compile(r"""[\s\ufeff]*("([^"]*)"|'([^']*)')[\s\ufeff]*""")
# Kubernetes and Docker's links set NAME_PORT for a service called `name`.
SERVICE_LINK: Final = re.compile(r"(tcp|udp|sctp)://\S+:[0-9]+")


def read_variable(name: str, value: str | None) -> str | None:
    """Return the value of a variable that is a setting, without quotes around it; None if it counts as not set."""
    if not value or not value.strip(NOTHING) or (name.endswith("_PORT") and SERVICE_LINK.fullmatch(value)):
        return None
    quoted = QUOTED.fullmatch(value)
    return quoted[2] or quoted[3] or None if quoted else value


def expanded(text: str) -> str:
    """Return a path with the home directory in the place of a leading `~` or `~user`, as a shell has it.

    Compose, systemd and `.env` files leave it as it is. Raises `ValueError`.
    """
    path = os.path.expanduser(text)
    is_nowhere = not os.path.isabs(path) or (text[1:2] in ("", "/") and os.environ.get("HOME") == "")
    if text.startswith("~") and is_nowhere:
        raise ValueError(f"{text} begins with ~, and there is no such home directory; give the whole path, or ./{text}")
    return path
