"""The composition root: the HTTP session to the server, the callback endpoint, and the chosen face."""

import asyncio
import contextlib
import ipaddress
import logging
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TextIO
from urllib.parse import urlsplit

import aiohttp
from aiohttp import hdrs, web

from client.faces.headless import Headless, serve_page
from client.faces.pipe.face import PipedTerminal
from client.faces.pipe.lines_out import lost
from client.faces.terminal.face import Terminal
from client.faces.web.cookies import PREFIX
from client.faces.web.page import Page
from client.http_server import MAX_HEADER_BYTES, Runner
from client.session.callback_endpoint import CallbackEndpoint
from client.session.listener import Listener
from client.session.participant import NewParticipant, Participant
from client.session.registration_file import RegistrationFiles
from client.session.rpc import ServerRpc
from client.settings import Face, Settings
from client.state import State
from runtime.background_output import BackgroundOutput
from runtime.http_server import SERVER, fault_of_peer
from runtime.listening import ALL_ADDRESSES, ListenError, ListeningSockets
from runtime.listening import listen as bind
from runtime.standard_streams import STDOUT, encoding_of

PAGE_PORT: Final = 8080
SHUTDOWN_SECONDS: Final = 2.0
KEEP_ALIVE_SECONDS: Final = 75.0  # also bounds a slow request head; aiohttp's default is an hour
STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))


def run(settings: Settings) -> int:
    """Run until the face ends or a signal arrives; return the exit code."""
    _set_up_output(settings.has_page)
    if settings.has_page:
        _raise_file_limit()
    try:
        listening = listen(settings, PAGE_PORT if settings.has_page else 0)
    except ListenError as error:
        sys.stderr.write(f"[CLIENT] [ERROR] {_cannot_listen(error)}\n")
        return 1
    with listening, asyncio.Runner(loop_factory=_fastest_loop()) as runner:
        return runner.run(serve(settings, listening))


def listen(settings: Settings, default_port: int) -> ListeningSockets:
    """Bind the sockets for callbacks and for browsers. Raise `ListenError`."""
    port = default_port if settings.client_port is None else settings.client_port
    return bind(settings.client_host or listening_host(settings.server), port)


def listening_host(server: str) -> str:
    """Return the host to listen on: loopback if the server is on it and so calls from there, else all addresses."""
    host = urlsplit(server).hostname or ""
    if host == "localhost":
        return host
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return ALL_ADDRESSES  # a server on another host cannot reach loopback
    if address.is_loopback:
        return "127.0.0.1" if address.version == 4 else "::1"
    return ALL_ADDRESSES


def calling_family(settings: Settings, listening: ListeningSockets) -> int:
    """Return the address family for calls to the server.

    The server calls back at the address from which it was called. A client that listens on a single family must
    therefore call over that family, unless the settings name a callback host.
    """
    called_elsewhere = settings.callback is not None and not settings.callback.startswith(":")
    if called_elsewhere or len(listening.families) > 1:
        return socket.AF_UNSPEC
    return min(listening.families)


async def serve(settings: Settings, listening: ListeningSockets) -> int:
    """Serve callbacks (and the page) on `listening` while the face runs; return the exit code."""
    host, port = listening.host, listening.port
    family = socket.AddressFamily(calling_family(settings, listening))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(family=family, limit=0)) as session:
        rpc = ServerRpc(session, settings.server)
        endpoint = CallbackEndpoint()
        state = State(settings)

        def participants(registration_files: RegistrationFiles | None, join_key: str | None) -> NewParticipant:
            def new_participant(listener: Listener, typed_key: str | None) -> Participant:
                callback = settings.callback or f":{port}"
                key = typed_key or join_key
                return Participant(
                    rpc, endpoint, callback, listener, join_key=key, registration_files=registration_files
                )

            return new_participant

        app = web.Application()
        app.on_response_prepare.append(_say_who_answers)
        endpoint.add_to(app)
        if settings.has_page:
            page = Page(
                participants(state.registrations_of_people, settings.pages_key),
                hosts=settings.page_hosts,
                server=settings.server,
                cookie_name=state.cookie_name(port),
                former_cookie_name=_former_cookie_name(port),
                asks_key=settings.newcomers_key is not None and settings.pages_key is None,
            )
            page.add_to(app)
        own = participants(
            state.own_registrations if settings.has_page else state.registrations_of_people, settings.newcomers_key
        )
        address = page_address(host, port, _service(settings, host))
        async with _listening(app, listening), state.swept_daily():
            return await until_stopped(_face(settings, own, address))


def _face(settings: Settings, new_participant: NewParticipant, page: str) -> Coroutine[Any, Any, int]:
    if settings.face is Face.PAGE:
        out = BackgroundOutput(STDOUT, lost, encoding_of(sys.stdout))
        return serve_page(page, settings.server, out)
    if settings.face is Face.HEADLESS:
        return Headless(new_participant, settings.server, settings.name, page).run()
    if not (_is_terminal(sys.stdin) and _is_terminal(sys.stdout)):  # no cursor movements into a pipe
        return PipedTerminal(new_participant, settings.server, settings.name).run()
    return Terminal(
        new_participant,
        settings.server,
        settings.name,
        no_color=settings.no_color,
        bell=settings.bell,
    ).run()


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


@contextlib.asynccontextmanager
async def _listening(app: web.Application, listening: ListeningSockets) -> AsyncIterator[None]:
    runner = new_runner(app)
    await runner.setup()
    try:
        for sock in listening.sockets:
            await web.SockSite(runner, sock).start()
        yield
    finally:
        await runner.cleanup()


async def _say_who_answers(_request: web.Request, response: web.StreamResponse) -> None:
    """Replace aiohttp's `Server` header, which discloses the versions of aiohttp and Python."""
    response.headers[hdrs.SERVER] = SERVER


def new_runner(app: web.Application) -> web.AppRunner:
    """Return the HTTP server of `app`, configured so that no request can cause a traceback in the log."""
    return Runner(
        app,
        access_log=None,
        handle_signals=False,
        shutdown_timeout=SHUTDOWN_SECONDS,
        keepalive_timeout=KEEP_ALIVE_SECONDS,
        logger=_http_log(),
        max_field_size=MAX_HEADER_BYTES,
        # The signature covers the bytes as sent; and a small body must not expand to a large one.
        auto_decompress=False,
    )


async def until_stopped(face: Coroutine[Any, Any, int]) -> int:
    """Run `face`; on SIGTERM, SIGINT or SIGHUP, cancel it with the signal's name as the message.

    Return the exit code of `face`, or 0 if the cancellation ended it.
    """
    running = asyncio.create_task(face)
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def stop(number: signal.Signals) -> None:
        stopped.set()
        running.cancel(number.name)

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        return await running
    except asyncio.CancelledError:
        if not stopped.is_set():
            raise
        return 0
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)


def _http_log() -> logging.Logger:
    log = logging.getLogger("client.http")
    log.addFilter(lambda record: fault_of_peer(record) is None)
    return log


def page_address(host: str, port: int, service: str = "") -> str:
    """Return the address of the page for a person.

    A container cannot know its published port, so the text names the Compose command for `service` instead.
    """
    everywhere = host in ("127.0.0.1", "0.0.0.0", "::", "::1")  # noqa: S104
    address = f"http://{'localhost' if everywhere else f'[{host}]' if ':' in host else host}:{port}"
    if service:
        address += f" inside this container; from outside: docker compose port {service} {port}"
    return address


def _service(settings: Settings, host: str) -> str:
    """Return the Compose service of this container; "" outside a container, or if only loopback can reach the page."""
    if host not in ("0.0.0.0", "::") or not Path("/.dockerenv").exists():  # noqa: S104
        return ""
    return "page" if settings.face is Face.PAGE else "--index N client"


def _former_cookie_name(port: int) -> str:
    """Return the name that the page's cookie had in earlier versions."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", f"{PREFIX}{socket.gethostname()}-{port}")


def _cannot_listen(error: ListenError) -> str:
    problem = str(error)
    return f"{problem[0].upper()}{problem[1:]}. Choose another CHAT_CLIENT_HOST or CHAT_CLIENT_PORT (0: any free port)."


def _set_up_output(has_page: bool) -> None:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # names may hold letters that the locale lacks
    # A log line would break the input line of a terminal; a client with a page logs to its container's log.
    level = logging.WARNING if has_page else logging.CRITICAL
    logging.basicConfig(level=level, format="[CLIENT] [%(levelname)s] %(message)s")
    logging.addLevelName(logging.WARNING, "WARN")


def _raise_file_limit() -> None:
    """Raise the limit of open files to the hard limit: the page uses three for each browser."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _fastest_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # a platform without it
        return None
    return uvloop.new_event_loop
