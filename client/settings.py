"""The client's settings: a table that defines the flags, the environment variables, the checks and `--help`."""

import contextlib
import os
import re
from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import click

from client.faces.text import printable
from protocol.join_key import BYTE_ORDER_MARK, bare, checked_key, read_key
from protocol.methods import MAX_NAME_CHARS, RPC_PATH
from runtime.standard_streams import Command
from runtime.variables import expanded, read_variable

HELP: Final = """Join a Ringback chat.

Each setting is a flag and an environment variable. The flag wins; an empty variable counts as not set."""


NO_STATE: Final = Path("none")
Choice = TypeVar("Choice", bound=StrEnum)


class Face(StrEnum):
    """How a client shows the chat."""

    AUTO = "auto"
    TERMINAL = "terminal"
    HEADLESS = "headless"
    PAGE = "page"


class PageKey(StrEnum):
    """The source of the join key for a visitor of the page: the visitor, or the client that serves the page."""

    ASK = "ask"
    CONTAINER = "container"


# Each check returns the value, or raises ValueError with a sentence that states the expected value.


def _server(text: str) -> str:
    _check_address(text, "such as http://localhost:9999")
    # Also accept the URL of the endpoint, as in the wire contract and in curl examples: remove its path.
    return text.rstrip("/").removesuffix(RPC_PATH).rstrip("/")


def _check_address(text: str, example: str) -> None:
    """Raise `ValueError` with a sentence for each possible fault of a base address."""
    if not text.isprintable() or " " in text:
        raise ValueError(f"expected an address without blanks or control characters, {example}")
    if not re.match("https?://", text, re.IGNORECASE):
        raise ValueError(f"expected an address that begins with http:// or https://, {example}")
    try:
        url = urlsplit(text)
        is_port = url.port != 0
    except ValueError:
        is_port = False
    if not is_port:
        raise ValueError(f"expected a port from 1 to 65535, and brackets around an IPv6 address, {example}")
    if url.username is not None or url.query or url.fragment:
        raise ValueError(f"expected an address without user name, ? or #, {example}")
    if not _is_host(url.hostname or ""):
        raise ValueError(f"expected a host name in the address, {example}")


def _is_host(name: str) -> bool:
    """Return whether a name can be resolved: none of its labels is empty or too long (RFC 1035, section 2.3.4)."""
    try:
        return bool(name.removesuffix(".").encode("idna"))
    except UnicodeError:
        return False


def _name(text: str) -> str:
    name = text.strip()
    if not 1 <= len(name) <= MAX_NAME_CHARS:
        raise ValueError(f"expected 1 to {MAX_NAME_CHARS} characters, not {len(name)}")
    if printable(name) != name:
        raise ValueError("expected a name without control characters or invalid Unicode")
    if found := re.search("[@/:]", name):
        raise ValueError(f"expected a name without {found[0]}")
    return name


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535):
        raise ValueError("expected a whole number from 0 to 65535 (0: any free port)")
    return int(text)


def _callback(text: str) -> str:
    if text.startswith(":"):
        if not _port(text[1:]):
            raise ValueError("expected a port from 1 to 65535 after the colon")
        return text
    _check_address(text, "such as http://HOST:PORT, at which the server reaches this client, or :PORT")
    return text.rstrip("/")


def _page_hosts(text: str) -> tuple[str, ...]:
    hosts = tuple(host.strip().lower() for host in text.split(",") if host.strip())
    if not hosts or not all(re.fullmatch(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", host) for host in hosts):
        raise ValueError("expected host names separated by commas, without http://, such as localhost,chat.example")
    return hosts


def _one_of(choices: type[Choice]) -> Callable[[str], Choice]:
    def check(text: str) -> Choice:
        try:
            return choices(text.strip().lower())
        except ValueError:
            raise ValueError(f"expected one of {', '.join(choices)}") from None

    return check


def _state_dir(text: str) -> Path:
    if not text.isprintable():
        raise ValueError(f"expected a directory, or {NO_STATE}")
    return Path(expanded(text))


def refuse_marked_variables() -> None:
    """Raise `UsageError` if the name of a variable has a byte order mark: the first in a file of systemd or Docker."""
    for name in os.environ:
        if name.startswith(f"{BYTE_ORDER_MARK}CHAT_"):
            problem = f"The name of the variable {name[1:]} begins with a byte order mark (U+FEFF)."
            raise click.UsageError(f"{problem} Save the file that sets it as UTF-8 without one.")


class _Option(click.Option):
    """An option that ignores white space and a byte order mark around its value, such as from a `.env` with CR LF."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """Return the variable's value without enclosing quotes; None if it counts as not set."""
        return read_variable(str(self.envvar), super().resolve_envvar_value(ctx))

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        return super().type_cast_value(ctx, (bare(value) or value) if isinstance(value, str) else value)


def user_state_dir() -> Path:
    """Return the user's directory (XDG Base Directory Specification); `NO_STATE` for a user without a home."""
    for base in (os.environ.get("XDG_STATE_HOME", ""), "~/.local/state"):
        with contextlib.suppress(ValueError):
            if os.path.isabs(path := expanded(base)):
                return Path(path, "ringback")
    return NO_STATE


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("expected printable characters only")
    return text


def _key(text: str) -> str:
    try:
        return checked_key(text)
    except ValueError as problem:
        raise ValueError(f"the key {problem}") from None


def _key_file(text: str) -> str:
    try:
        content = Path(expanded(text)).read_bytes()
    except OSError as error:
        raise ValueError(f"{text} cannot be read: {error.strerror}") from None
    try:
        return read_key(content)
    except ValueError as problem:
        raise ValueError(f"the key in {text} {problem}") from None


def _switch(text: str) -> bool:
    if text.lower() not in _SWITCHES:
        raise ValueError(f"expected one of {', '.join(_SWITCHES)}")
    return _SWITCHES[text.lower()]


_SWITCHES: Final = {"1": True, "0": False, "on": True, "off": False, "yes": True, "no": False}


def _row(variable: str, check: Callable[[str], object], metavar: str, help: str, default: str = "") -> dict[str, Any]:
    """Return the metadata of a row. The flag is the name of the field; `default` describes a computed default."""
    return {"variable": variable, "check": check, "metavar": metavar, "help": help, "default": default}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The table of the settings; an instance holds the values of a run."""

    face: Face = field(
        default=Face.AUTO,
        metadata=_row(
            "CHAT_FACE",
            _one_of(Face),
            "|".join(Face),
            "How to show the chat: a terminal; headless, which joins, prints the messages and serves the web page; or"
            " the page alone.",
            "auto: terminal when stdin is one, else headless",
        ),
    )
    server: str = field(
        default="http://localhost:9999",
        metadata=_row("CHAT_SERVER", _server, "URL", "Address of the chat server."),
    )
    name: str | None = field(
        default=None,
        metadata=_row(
            "CHAT_NAME",
            _name,
            "NAME",
            "Your name in the chat.",
            "a terminal asks, headless is client-HOSTNAME, --face terminal takes a pipe's first line",
        ),
    )
    join_key: str | None = field(
        default=None,
        metadata=_row(
            "CHAT_JOIN_KEY",
            _key,
            "KEY",
            "Key that the server asks new members for. As a flag, other users of this machine can see it.",
            "none",
        ),
    )
    join_key_file: str | None = field(
        default=None,
        metadata=_row("CHAT_JOIN_KEY_FILE", _key_file, "FILE", "A file that holds the join key.", "none"),
    )
    client_host: str | None = field(
        default=None,
        metadata=_row(
            "CHAT_CLIENT_HOST",
            _one_line,
            "ADDRESS",
            "Address on which to listen for the server's callbacks and for browsers.",
            "loopback if the server is on it, else ::, all addresses",
        ),
    )
    client_port: int | None = field(
        default=None,
        metadata=_row(
            "CHAT_CLIENT_PORT",
            _port,
            "PORT",
            "Port on which to listen; 0: any free port.",
            "8080 with a page, 0 for a terminal",
        ),
    )
    callback: str | None = field(
        default=None,
        metadata=_row(
            "CHAT_CALLBACK",
            _callback,
            "URL",
            "Address at which the server reaches this client, if that is not the address that the client calls from.",
            ":PORT, at the address that the client calls from",
        ),
    )
    page_hosts: tuple[str, ...] = field(
        default=("localhost", "127.0.0.1", "[::1]"),
        metadata=_row(
            "CHAT_PAGE_HOSTS",
            _page_hosts,
            "HOST,…",
            "Host names under which the page may be opened, at any port, or as NAME:PORT at that port; behind a proxy,"
            " the name that people type.",
            "localhost,127.0.0.1,[::1]",
        ),
    )
    page_key: PageKey = field(
        default=PageKey.ASK,
        metadata=_row(
            "CHAT_PAGE_KEY",
            _one_of(PageKey),
            "|".join(PageKey),
            "Source of the join key for visitors of the page. ask: each visitor types it; container: this client's key"
            " admits every visitor who can open the page.",
            PageKey.ASK,
        ),
    )
    state_dir: Path = field(
        default_factory=user_state_dir,
        metadata=_row(
            "CHAT_STATE_DIR",
            _state_dir,
            f"DIR|{NO_STATE}",
            "Directory that stores registrations, so that a restart of this client neither misses nor repeats messages;"
            f" {NO_STATE}: each start joins as a new member.",
            "$XDG_STATE_HOME/ringback, else ~/.local/state/ringback",
        ),
    )

    no_color: bool = field(
        default=False,
        metadata=_row(
            "NO_COLOR",
            bool,  # any value counts (no-color.org)
            "",
            "Show the chat in a terminal without colours.",
            "colours",
        ),
    )
    bell: bool = field(
        default=False,
        metadata=_row("CHAT_BELL", _switch, "", "Ring the terminal's bell when a message mentions your name.", "off"),
    )

    @property
    def has_page(self) -> bool:
        """Whether this client serves the web page."""
        return self.face in (Face.HEADLESS, Face.PAGE)

    @property
    def newcomers_key(self) -> str | None:
        """The join key, from `join_key` or `join_key_file`."""
        return self.join_key or self.join_key_file

    @property
    def pages_key(self) -> str | None:
        """The join key for a visitor of the page without a typed key."""
        return self.newcomers_key if self.page_key is PageKey.CONTAINER else None


class _Checked(click.ParamType[Any]):
    """A row's check as a click parameter type."""

    name = "value"

    def __init__(self, check: Callable[[str], object]) -> None:
        self._check = check

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> object:
        try:
            return self._check(value)
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)  # without the value, which may be a key


class _Switch(_Option):
    """A boolean row: its flag takes no value; the row's check converts its variable."""

    def __init__(self, param_decls: list[str], **attributes: Any) -> None:
        super().__init__(param_decls, is_flag=True, flag_value="1", **attributes)

    def value_from_envvar(self, ctx: click.Context) -> str | None:
        return self.resolve_envvar_value(ctx)


def _option(row: Field[Any]) -> click.Option:
    return (_Switch if row.type is bool else _Option)(
        [f"--{row.name.replace('_', '-')}"],
        type=_Checked(row.metadata["check"]),
        metavar=row.metadata["metavar"] or None,
        envvar=row.metadata["variable"],
        show_envvar=True,
        show_default=row.metadata["default"] or str(row.default),
        help=row.metadata["help"],
    )


def command(run: Callable[[Settings], int]) -> click.Command:
    """Return the command line: it calls `run` with the settings and exits with the code that `run` returns."""

    def invoke(**given: Any) -> None:
        refuse_marked_variables()
        settings = Settings(**{name: value for name, value in given.items() if value is not None})
        if settings.join_key and settings.join_key_file:
            raise click.UsageError("Give CHAT_JOIN_KEY or CHAT_JOIN_KEY_FILE (--join-key, --join-key-file), not both.")
        click.get_current_context().exit(run(settings))

    options: list[click.Parameter] = [_option(row) for row in fields(Settings)]
    return Command("client", params=options, callback=invoke, help=HELP)
