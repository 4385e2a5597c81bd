"""The server's settings: one table, from which flags, environment variables, checks and help are made."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from runtime.standard_streams import Command, Group
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


class Utf8(click.ParamType[str]):
    """Text that can be compared with what comes over the wire. Its value is not shown: it may be a secret."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read it; bytes that are not UTF-8 arrive as lone surrogates (PEP 383)."""
        try:
            str(value).encode()
        except UnicodeEncodeError:
            self.fail("it is not UTF-8; give text in UTF-8", param, ctx)
        return str(value)


class KeyFile(click.ParamType[str]):
    """A file that holds a key, as Docker hands secrets to containers. Its value is the key."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read it; the line break at its end is none of the key's."""
        try:
            key = Path(str(value)).read_text(encoding="utf-8").rstrip("\r\n")
        except OSError as error:
            self.fail(f"{value} cannot be read: {error.strerror}", param, ctx)
        except UnicodeDecodeError:
            self.fail(f"{value} is not UTF-8; put the key into it as text in UTF-8", param, ctx)
        if not key:
            self.fail(f"{value} is empty; put the key into it", param, ctx)
        return key


class Number(click.FloatRange):
    """A number, never `nan` or `inf`, which a range lets pass."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not finite; give a number", param, ctx)
        return number


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
        return str(value)


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
    Setting("port", click.IntRange(0, 65535), "Port to listen on; 0 takes any that is free."),
    Setting("store", Store(), "Where messages and members are kept: sqlite:FILE, or memory:, gone with the process."),
    Setting("callback_allow", Networks(), "Networks whose addresses may be called beside the caller's own."),
    Setting("trusted_proxies", Networks(), "Proxies whose X-Forwarded-For, Forwarded or X-Real-IP is believed."),
    Setting("join_key", Utf8(), "A key that newcomers must know; without it everybody may come."),
    Setting("join_key_file", KeyFile(), "A file with that key, instead of the key itself."),
    Setting("evict_after", Number(min=0), "Seconds of failures after which a recipient has left."),
    Setting("rate", Number(min=0), "Messages a second that one participant may send; 0 turns every rate limit off."),
    Setting("max_per_address", click.IntRange(min=0), "Participants that one address may have; 0: any number."),
    Setting("max_connections", click.IntRange(min=2), "Connections at a time; of these, no address keeps over half."),
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
    subcommand("backup", click.Argument(["file"], type=click.Path(path_type=Path)), back_up, BACKUP_HELP)
    subcommand("restore", click.Argument(["file"], type=click.Path(path_type=Path)), restore, RESTORE_HELP)
    subcommand("kick", click.Argument(["id"]), kick, KICK_HELP)
    subcommand("release", click.Argument(["name"]), release, RELEASE_HELP)
    return server


def _option(setting: Setting) -> click.Option:
    default = getattr(Settings(), setting.field)
    return click.Option(
        [setting.flag],
        type=setting.type,
        default="" if default == () else default,
        help=setting.help,
        envvar=setting.variable,
        show_envvar=True,
        show_default=bool(default),
    )
