"""`python -m server`: command line and environment -> Settings -> run."""

from runtime.early_stop import end_at_sigterm

if __name__ == "__main__":
    end_at_sigterm()  # the imports below take most of the start

import asyncio
import contextlib
import os
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from runtime.http_server import parser_problem
from runtime.job_control import ignore_stop_without_shell
from runtime.standard_streams import CANNOT_WRITE, STDIN, STDOUT, prepare, tell
from server import logs
from server.app import (
    Dependencies,
    Server,
    copy_log,
    listen,
    release_name,
    remove_member,
    restore_log,
    write_log,
)
from server.errors import ControlError, OutputError, StartError
from server.settings import Settings, command

try:
    import uvloop
except ImportError:  # no wheel for this platform: use asyncio's own loop
    uvloop = None  # type: ignore[assignment]


STANDARD_STREAM: Final = Path("-")


def main() -> None:
    """Parse the command line and run the command."""
    prepare(lambda lines, why: logs.LineFormatter().format(logs.lost(lines, why)))
    ignore_stop_without_shell()
    command(run, back_up, restore, kick, release)(prog_name="python -m server")


def run(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C, then drain and return."""
    logs.configure(settings.log_format, settings.log_level)
    _raise_file_limit()
    try:
        if problem := parser_problem():
            raise StartError(problem)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop if uvloop else None) as runner:
            runner.run(serve(settings))
    except StartError as error:
        logs.server.error("%s", error)
        sys.exit(1)


def back_up(settings: Settings, target: Path) -> None:
    """Copy the store, also while a server runs."""
    with _told():
        if target == STANDARD_STREAM:
            _refuse_terminal(STDOUT, "output")
            _stream_backup(settings)
        else:
            copy_log(settings.store, target)
            _report(f"{settings.store} is copied to {target}")


def _stream_backup(settings: Settings) -> None:
    out = open(STDOUT, "wb", closefd=False)  # noqa: SIM115 (closed below); sys.stdout is None where it is closed
    try:
        write_log(settings.store, out)
    finally:
        with contextlib.suppress(OSError):  # `write_log` has raised the error of a buffer that cannot be flushed
            out.close()


def restore(settings: Settings, source: Path) -> None:
    """Replace the store with a backup. No server may be running on it."""
    with _told():
        if source == STANDARD_STREAM:
            _refuse_terminal(STDIN, "input")
            with open(STDIN, "rb", closefd=False) as file:
                replaced = restore_log(settings.store, file, "the backup from standard input")
        else:
            with _opened(source) as file:
                replaced = restore_log(settings.store, file, str(source))
        kept = f"\nThe store that was there is kept as {replaced} until the next restore" if replaced else ""
        _report(f"{settings.store} is restored; start the server{kept}")


def _refuse_terminal(fd: int, which: str) -> None:
    """Raise `StartError` for a terminal, which changes line ends, also that of `docker exec -t` before a pipe."""
    if os.isatty(fd):
        hint = "give a file or a pipe, without a terminal between (docker exec without -t, docker compose exec -T)"
        raise StartError(f"standard {which} is a terminal, which would spoil the backup; {hint}")


@contextlib.contextmanager
def _opened(source: Path) -> Iterator[BinaryIO]:
    try:
        file = source.open("rb")
    except OSError as error:
        raise StartError(f"cannot read {source}: {error.strerror}") from None
    with file:
        yield file


def kick(settings: Settings, member_id: str) -> None:
    """Ask the running server to remove a member."""
    with _told():
        _report(remove_member(settings.store, member_id))


def _report(done: str) -> None:
    """Print the result. Raise `OutputError`."""
    try:
        tell(done)
    except OSError as error:
        raise OutputError(f"{done}; but {CANNOT_WRITE}: {error.strerror}") from None


def release(settings: Settings, name: str) -> None:
    """Ask the running server to free a name."""
    with _told():
        _report(release_name(settings.store, name))


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Write an error to standard error and exit with status 1."""
    try:
        yield
    except (StartError, ControlError, OutputError) as error:
        sys.stderr.write(f"[ERROR] {error}\n")
        sys.exit(1)


async def serve(settings: Settings) -> None:
    """Start the server, wait for SIGTERM or SIGINT, and stop it."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = Server(settings, listen(settings.host, settings.port), Dependencies())
    await server.start()
    logs.server.info("Real-time RPC chat server running on %s", server.authority)
    logs.server.info("Waiting for client connections...")
    await stop.wait()
    logs.server.info("Shutting down...")
    await server.stop()
    logs.server.info("Stopped")


def _raise_file_limit() -> None:
    """Raise the soft limit of open files to the hard limit: each client costs two connections."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    main()
