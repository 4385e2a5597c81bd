"""The server's settings: one table defines the flags, environment variables, checks and help texts."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from protocol.join_key import BYTE_ORDER_MARK, bare, checked_key, read_key
from runtime.standard_streams import Command, Group
from runtime.variables import expanded, read_variable
from server.logs import LEVELS
from server.net.addresses import IPNetwork

MEMORY_STORE: Final = "memory:"
SQLITE_STORE: Final = "sqlite:"  # followed by the path of the file

BACKUP_HELP: Final = """Copy the store to FILE, which must not exist. The server may run meanwhile.

"-" is standard output. A server that starts on the copy continues it as a log of its own (a new epoch)."""

RESTORE_HELP: Final = """Replace the store with the backup FILE. No server may be running on it.

"-" is standard input. The server that starts next continues the backup as a log of its own (a new epoch). The replaced
store is kept beside it until the next restore."""

RELEASE_HELP: Final = """Free NAME, which the running server keeps for a participant that is away.

Run this command as the user of the server process."""

KICK_HELP: Final = """Remove the participant with this ID from the chat of the running server.

The server then rejects its token. The log and ListMembers show IDs. Run this command as the user of the server
process."""


def refuse_marked_variables() -> None:
    """Raise `UsageError` if a name begins with a byte order mark, as from a file that systemd or Docker reads."""
    for name in os.environ:
        if name.startswith(f"{BYTE_ORDER_MARK}CHAT_"):
            problem = f"The name of the variable {name[1:]} begins with a byte order mark (U+FEFF)."
            raise click.UsageError(f"{problem} Save the file that sets it as UTF-8 without a byte order mark.")


class Option(click.Option):
    """An option that strips white space and byte order marks from its value, as from a `.env` with CR LF."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """Return the variable's value without quotes around it, None if it counts as not set."""
        return read_variable(str(self.envvar), super().resolve_envvar_value(ctx))

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        return super().type_cast_value(ctx, (bare(value) or value) if isinstance(value, str) else value)


@dataclass(frozen=True, slots=True)
class Settings:
    """The operator's settings. `TABLE` describes each field."""

    host: str = "0.0.0.0"  # noqa: S104 (a server listens for other machines)
    port: int = 9999
    store: str = f"{SQLITE_STORE}data/chat.db"
    callback_allow: tuple[IPNetwork, ...] = ()
    trusted_proxies: tuple[IPNetwork, ...] = ()
    join_key: str | None = None
    join_key_file: str | None = None  # the content of the file
    evict_after: float = 30.0
    rate: float = 20.0
    max_per_address: int = 0
    max_connections: int = 10_000
    retention_days: float = 30.0
    name_days: float = 30.0
    log_format: str = "text"
    log_level: str = "info"
    log_texts: bool = True

    @property
    def newcomers_key(self) -> str | None:
        """The join key, from either setting."""
        return self.join_key or self.join_key_file


class Host(click.ParamType[str]):
    """A host name or an address."""

    name = "host"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the host. `getaddrinfo` raises `UnicodeError`, not `OSError`, for a name that IDNA cannot encode."""
        try:
            str(value).encode("idna")
        except UnicodeError:
            self.fail(f"{value!r} is not a host name; give a name or an address like 127.0.0.1", param, ctx)
        return str(value)


class Key(click.ParamType[str]):
    """A key. Error texts do not show its value."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return checked_key(str(value))
        except ValueError as problem:
            self.fail(f"the key {problem}", param, ctx)


class KeyFile(click.ParamType[str]):
    """A file with a key, such as a Docker secret. The converted value is the key."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read and check the file's key."""
        try:
            content = Path(expanded(str(value))).read_bytes()
        except OSError as error:
            self.fail(f"{value} cannot be read: {error.strerror}", param, ctx)
        except ValueError as problem:
            self.fail(str(problem), param, ctx)
        try:
            return read_key(content)
        except ValueError as problem:
            self.fail(f"the key in {value} {problem}", param, ctx)


class NewFile(click.ParamType[Path]):
    """The path of a file."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        try:
            return Path(expanded(str(value)))
        except ValueError as problem:
            self.fail(str(problem), param, ctx)


class Whole(click.IntRange):
    """A whole number."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return int(super().convert(value, param, ctx))
        except click.BadParameter:
            self.fail(f"{value!r} is not a whole number{_bounds(self)}", param, ctx)


class Number(click.FloatRange):
    """A finite number: `click.FloatRange` alone accepts `nan` and `inf`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = float(super().convert(value, param, ctx))
        except click.BadParameter:
            number = math.nan
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a number{_bounds(self)}", param, ctx)
        return number


def _bounds(limits: click.IntRange | click.FloatRange) -> str:
    if limits.max is not None:
        return f" from {limits.min} to {limits.max}"
    return f" above {limits.min}" if limits.min_open else f" from {limits.min} on"


class Networks(click.ParamType[tuple[IPNetwork, ...]]):
    """Networks in CIDR notation, separated by commas or spaces."""

    name = "cidr,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[IPNetwork, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(ip_network(part) for part in str(value).replace(",", " ").split())
        except ValueError as error:
            self.fail(f"{error}; give networks like 10.0.0.0/8, separated by commas", param, ctx)


class Store(click.ParamType[str]):
    """The store of the log: `sqlite:FILE` or `memory:`."""

    name = "store"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        file = str(value).removeprefix(SQLITE_STORE)
        is_file = file != value and Path(file).name and "\0" not in file
        if value != MEMORY_STORE and not is_file:
            self.fail(f"{value!r} is not a store; give {SQLITE_STORE}FILE, or {MEMORY_STORE}", param, ctx)
        try:
            return f"{SQLITE_STORE}{expanded(file)}" if is_file else MEMORY_STORE
        except ValueError as problem:
            self.fail(str(problem), param, ctx)


class Setting(NamedTuple):
    """A row of `TABLE`: the field of `Settings`, its type and help. The field determines flag, variable and default."""

    field: str
    type: click.ParamType[Any]
    help: str

    @property
    def variable(self) -> str:
        """The environment variable."""
        return f"CHAT_{self.field.upper()}"

    @property
    def flag(self) -> str:
        """The command-line flag."""
        return f"--{self.field.replace('_', '-')}"


TABLE: Final = (
    Setting("host", Host(), "Address to listen on; :: for all addresses, 0.0.0.0 for all IPv4 addresses."),
    Setting("port", Whole(0, 65535), "Port to listen on; 0 for any free port."),
    Setting("store", Store(), "Where messages and members are stored: sqlite:FILE, or memory: until the process ends."),
    Setting("callback_allow", Networks(), "Networks in which callbacks are allowed, besides the caller's own address."),
    Setting("trusted_proxies", Networks(), "Proxies whose X-Forwarded-For, Forwarded or X-Real-IP header is trusted."),
    Setting("join_key", Key(), "A key that newcomers need to register; without it no key is needed."),
    Setting("join_key_file", KeyFile(), "A file that contains the join key."),
    Setting("evict_after", Number(min=0), "Seconds of failed deliveries after which a recipient is evicted."),
    Setting("rate", Number(min=0), "Messages a second for each participant; 0 turns off all rate limits."),
    Setting("max_per_address", Whole(min=0), "Participants present from one address at most; 0 for no limit."),
    Setting("max_connections", Whole(min=2), "Open connections at most; one address may hold up to half of them."),
    Setting("retention_days", Number(min=0, min_open=True), "Days to keep messages and absent members."),
    Setting(
        "name_days",
        Number(min=0),
        "Days to keep the names of absent members that ask for it.",
    ),
    Setting("log_format", click.Choice(["text", "json"]), "Format of log lines."),
    Setting("log_level", click.Choice(sorted(LEVELS)), "Lowest level to log."),
    Setting("log_texts", click.BOOL, "Whether the log shows message texts."),
)


def command(
    run: Callable[[Settings], None],
    back_up: Callable[[Settings, Path], None],
    restore: Callable[[Settings, Path], None],
    kick: Callable[[Settings, str], None],
    release: Callable[[Settings, str], None],
) -> click.Command:
    """Return the command line of the server. A flag overrides its variable; an empty variable counts as not set."""

    def start(**values: Any) -> None:
        refuse_marked_variables()
        context = click.get_current_context()
        context.obj = Settings(**values)
        if context.obj.join_key and context.obj.join_key_file:
            raise click.UsageError("Give CHAT_JOIN_KEY or CHAT_JOIN_KEY_FILE (--join-key, --join-key-file), not both.")
        if context.invoked_subcommand is None:
            run(context.obj)

    def subcommand(name: str, argument: click.Argument, act: Callable[[Settings, Any], None], help: str) -> None:
        def invoke(**values: Any) -> None:
            [value] = values.values()
            act(click.get_current_context().obj, value)

        server.add_command(Command(name, params=[argument], callback=invoke, help=help))

    server = Group(
        "python -m server",
        params=[_option(setting) for setting in TABLE],
        callback=start,
        help="Run the Ringback server.",
        invoke_without_command=True,
        subcommand_metavar="[backup FILE | restore FILE | kick ID | release NAME]",
    )
    subcommand("backup", click.Argument(["file"], type=NewFile()), back_up, BACKUP_HELP)
    subcommand("restore", click.Argument(["file"], type=NewFile()), restore, RESTORE_HELP)
    subcommand("kick", click.Argument(["id"]), kick, KICK_HELP)
    subcommand("release", click.Argument(["name"]), release, RELEASE_HELP)
    return server


def _option(setting: Setting) -> click.Option:
    default = getattr(Settings(), setting.field)
    return Option(
        [setting.flag],
        type=setting.type,
        default="" if default == () else default,
        help=setting.help,
        envvar=setting.variable,
        show_envvar=True,
        show_default=bool(default),
    )
