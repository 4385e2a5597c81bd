"""The server's settings: one table, from which flags, environment variables, checks and help are made."""

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
from server.core.address_policy import IPNetwork
from server.journal import LEVELS

MEMORY_STORE: Final = "memory:"
SQLITE_STORE: Final = "sqlite:"  # and the path of the file

BACKUP_HELP: Final = """Copy the store to FILE, which must not be there yet, while the server runs or not.

"-" is standard output. A server that is started on the copy has a log of its own from there on (another epoch)."""

RESTORE_HELP: Final = """Put the backup FILE in the place of the store, on which no server may run.

"-" is standard input. The server that is started then goes on from there with a log of its own (another epoch). The
store that was there is kept beside it, until the next restore."""

RELEASE_HELP: Final = """Let others have NAME, which the running server keeps for a participant that is away.

Run it as the user that the server runs as."""

KICK_HELP: Final = """Remove the participant with this ID from the chat of the running server.

Its token is of no use any more. The log and ListMembers tell IDs. Run it as the user that the server runs as."""


def refuse_marked_variables() -> None:
    """Raise `UsageError` if a byte order mark hides a variable, as the first of a file that systemd or Docker reads."""
    for name in os.environ:
        if name.startswith(f"{BYTE_ORDER_MARK}CHAT_"):
            problem = f"The name of the variable {name[1:]} begins with a byte order mark (U+FEFF)."
            raise click.UsageError(f"{problem} Save the file that sets it as UTF-8 without one.")


class Option(click.Option):
    """An option whose value counts without white space and a byte order mark around it, as of a `.env` with CR LF."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """Return the variable's value, without quotes around it; None if it counts as not set."""
        return read_variable(str(self.envvar), super().resolve_envvar_value(ctx))

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """Convert the value."""
        return super().type_cast_value(ctx, (bare(value) or value) if isinstance(value, str) else value)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator has decided. The table below tells each field."""

    host: str = "0.0.0.0"  # noqa: S104 (a server is to be reached)
    port: int = 9999
    store: str = f"{SQLITE_STORE}data/chat.db"
    callback_allow: tuple[IPNetwork, ...] = ()
    trusted_proxies: tuple[IPNetwork, ...] = ()
    join_key: str | None = None
    join_key_file: str | None = None  # what is in it
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
        """The key that newcomers must know, however it was given."""
        return self.join_key or self.join_key_file


class Host(click.ParamType[str]):
    """A host name or an address."""

    name = "host"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read it; what cannot be looked up at all, `getaddrinfo` does not take as an `OSError`."""
        try:
            str(value).encode("idna")
        except UnicodeError:
            self.fail(f"{value!r} is not a host name; give a name or an address like 127.0.0.1", param, ctx)
        return str(value)


class Key(click.ParamType[str]):
    """A key. Its value is not shown."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read it."""
        try:
            return checked_key(str(value))
        except ValueError as problem:
            self.fail(f"the key {problem}", param, ctx)


class KeyFile(click.ParamType[str]):
    """A file that holds a key, as Docker hands secrets to containers. Its value is the key."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read it."""
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
        """Read it."""
        try:
            return Path(expanded(str(value)))
        except ValueError as problem:
            self.fail(str(problem), param, ctx)


class Whole(click.IntRange):
    """A whole number."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read it."""
        try:
            return int(super().convert(value, param, ctx))
        except click.BadParameter:
            self.fail(f"{value!r} is not a whole number{_bounds(self)}", param, ctx)


class Number(click.FloatRange):
    """A number, never `nan` or `inf`, which a range lets pass."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it."""
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
    """Networks in CIDR notation, apart by commas or spaces."""

    name = "cidr,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[IPNetwork, ...]:
        """Read them."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(ip_network(part) for part in str(value).replace(",", " ").split())
        except ValueError as error:
            self.fail(f"{error}; give networks like 10.0.0.0/8, apart by commas", param, ctx)


class Store(click.ParamType[str]):
    """Where the log is kept."""

    name = "store"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read it."""
        file = str(value).removeprefix(SQLITE_STORE)
        is_file = file != value and Path(file).name and "\0" not in file
        if value != MEMORY_STORE and not is_file:
            self.fail(f"{value!r} is not a store; give {SQLITE_STORE}FILE, or {MEMORY_STORE}", param, ctx)
        try:
            return f"{SQLITE_STORE}{expanded(file)}" if is_file else MEMORY_STORE
        except ValueError as problem:
            self.fail(str(problem), param, ctx)


class Setting(NamedTuple):
    """One row: the field of `Settings`, its type, and its help. Flag, variable and default follow from the field."""

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
    Setting("host", Host(), "Address to listen on; :: is every address of both families, 0.0.0.0 of IPv4."),
    Setting("port", Whole(0, 65535), "Port to listen on; 0 takes any that is free."),
    Setting("store", Store(), "Where messages and members are kept: sqlite:FILE, or memory:, gone with the process."),
    Setting("callback_allow", Networks(), "Networks whose addresses may be called beside the caller's own."),
    Setting("trusted_proxies", Networks(), "Proxies whose X-Forwarded-For, Forwarded or X-Real-IP is believed."),
    Setting("join_key", Key(), "A key that newcomers must know; without it everybody may come."),
    Setting("join_key_file", KeyFile(), "A file with that key, instead of the key itself."),
    Setting("evict_after", Number(min=0), "Seconds of failures after which a recipient has left."),
    Setting("rate", Number(min=0), "Messages a second that one participant may send; 0 turns every rate limit off."),
    Setting("max_per_address", Whole(min=0), "Participants that one address may have; 0: any number."),
    Setting("max_connections", Whole(min=2), "Connections at a time; of these, no address keeps over half."),
    Setting("retention_days", Number(min=0, min_open=True), "Days for which messages and the away are kept."),
    Setting(
        "name_days",
        Number(min=0),
        "Days for which names are kept for absent owners that ask for it.",
    ),
    Setting("log_format", click.Choice(["text", "json"]), "How log lines are written."),
    Setting("log_level", click.Choice(sorted(LEVELS)), "The least level that is logged."),
    Setting("log_texts", click.BOOL, "Whether the log shows what people write."),
)


def command(
    run: Callable[[Settings], None],
    back_up: Callable[[Settings, Path], None],
    restore: Callable[[Settings, Path], None],
    kick: Callable[[Settings, str], None],
    release: Callable[[Settings, str], None],
) -> click.Command:
    """Make the command line of the server. A flag wins over its variable; an empty variable counts as not set."""

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
