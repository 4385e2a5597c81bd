"""Each cause for which the server cannot be reached has a sentence of its own."""

import asyncio
import errno
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from client.errors import ServerUnreachable
from client.session.rpc import ServerRpc
from client.session.unreachable import (
    CERTIFICATE,
    RESOLVER,
    STATUS,
    SYSTEM,
    words_for_body,
    words_for_failure,
    words_for_status,
)
from protocol.messages import NoParams, PingResult

SERVER = "https://chat.example"


# aiohttp's errors take a key of the connection, of which nothing is told.
KEY: Any = SimpleNamespace()


def of_system(number: int) -> Exception:
    return aiohttp.ClientConnectorError(KEY, OSError(number, "Connect call failed"))


def of_name(number: int) -> Exception:
    return aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(number, "as the resolver says"))


def of_tls(reason: str) -> Exception:
    error = ssl.SSLError(ssl.SSL_ERROR_SSL, f"[SSL: {reason}]")
    error.reason = reason
    return aiohttp.ClientConnectorSSLError(KEY, error)


def of_certificate(code: int) -> Exception:
    error = ssl.SSLCertVerificationError(ssl.SSL_ERROR_SSL, "certificate verify failed")
    error.verify_code, error.verify_message = code, "as OpenSSL says"
    return aiohttp.ClientConnectorCertificateError(KEY, error)


CAUSES = {
    "connection timeout": aiohttp.ConnectionTimeoutError(),
    "answer timeout": TimeoutError(),
    "closed": aiohttp.ServerDisconnectedError(),
    "broken off": aiohttp.ClientPayloadError(),
    "no host name": UnicodeError("label empty or too long"),
    "several addresses": aiohttp.ClientConnectorError(KEY, OSError("Multiple exceptions: ")),
    **{
        errno.errorcode[number]: of_system(number)
        for number in SYSTEM
        if number not in (errno.ECONNABORTED, errno.EPIPE)  # the same to a person as ECONNRESET
    },
    "another of the system": of_system(errno.EPROTO),
    **{f"name {number}": of_name(number) for number in RESOLVER},
    "another of the resolver": of_name(socket.EAI_FAMILY),
    **{f"certificate {code}": of_certificate(code) for code in CERTIFICATE},
    "another of certificates": of_certificate(66),
    **{
        reason: of_tls(reason)
        for reason in (
            "WRONG_VERSION_NUMBER",
            "TLSV1_ALERT_PROTOCOL_VERSION",
            "SSLV3_ALERT_HANDSHAKE_FAILURE",
            "TLSV1_UNRECOGNIZED_NAME",
            "TLSV13_ALERT_CERTIFICATE_REQUIRED",
            "UNEXPECTED_EOF_WHILE_READING",
            "BAD_DH_VALUE",
        )
    },
}
STATUSES = [*STATUS, 301, 404, 418, 503]


def sentences() -> dict[str, str]:
    told = {name: words_for_failure(cause, SERVER) for name, cause in CAUSES.items()}
    told |= {f"status {status}": words_for_status(status, {}, SERVER) for status in STATUSES}
    ours = {"Server": "Ringback"}
    told |= {f"status {status} of Ringback": words_for_status(status, ours, SERVER) for status in (404, 503)}
    told["moved"] = words_for_status(301, {"Location": "https://elsewhere.example/"}, SERVER)
    return told | {kind: words_for_body(kind, SERVER) for kind in ("text/html", "application/json")}


def test_words_of_no_two_causes_are_the_same() -> None:
    told = sentences()
    assert len(set(told.values())) == len(told)


@pytest.mark.parametrize(("cause", "words"), sentences().items(), ids=sentences())
def test_words_name_the_server_and_end_as_a_sentence(cause: str, words: str) -> None:
    assert SERVER in words
    assert words.endswith((".", "?", "ulimit -n)."))
    assert "Errno" not in words
    assert "Operation not permitted" not in words, cause


def test_words_for_a_number_of_the_resolver_are_never_those_of_the_system() -> None:
    """On some systems the numbers are positive: 8 is EAI_NONAME there, and ENOEXEC."""
    assert "Exec format" not in words_for_failure(of_name(errno.ENOEXEC), SERVER)
    assert "as the resolver says" in words_for_failure(of_name(errno.ENOEXEC), SERVER)


def test_words_for_an_error_of_tls_on_a_standing_connection_are_not_those_of_the_system() -> None:
    """aiohttp makes an `OSError` of it, with the number of OpenSSL: 1, which is EPERM in the table of the system."""
    error = aiohttp.ClientOSError(ssl.SSL_ERROR_SSL, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED]")
    error.__cause__ = of_tls("TLSV13_ALERT_CERTIFICATE_REQUIRED").os_error  # type: ignore[attr-defined]
    assert words_for_failure(error, SERVER).endswith("it requires a client certificate, and this client has none.")


def test_words_for_a_request_that_could_not_be_written_say_that_the_connection_broke_off() -> None:
    error = aiohttp.ClientOSError(None, "Can not write request body")
    error.__cause__ = aiohttp.ClientConnectionResetError("Cannot write to closing transport")
    assert words_for_failure(error, "http://chat.example").endswith(
        "the connection broke off before an answer came. Is it an https port?"
    )


@pytest.mark.parametrize("content", [None, b"no certificate"], ids=["missing", "empty"])
def test_words_for_a_certificate_tell_when_the_file_of_authorities_is_of_no_use(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "authorities.pem"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    why = "cannot be read (No such file or directory)" if content is None else "holds no certificate"
    assert words_for_failure(of_certificate(18), SERVER).endswith(f"It names {file} now, which {why}.")
    assert str(file) not in words_for_failure(of_certificate(10), SERVER)


def test_words_for_a_redirect_say_where_it_leads() -> None:
    assert "https://elsewhere.example/" in sentences()["moved"]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """A certificate of its own for 127.0.0.1."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=x", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


async def told_by(session: aiohttp.ClientSession, answer: bytes, scheme: str = "http") -> str:
    """Give what is told of a port at which every connection is sent this, after its first bytes, and closed."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        return await told_of(session, f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}")


async def told_of(session: aiohttp.ClientSession, server: str) -> str:
    with pytest.raises(ServerUnreachable) as caught:
        await ServerRpc(session, server).call("Ping", NoParams(), PingResult)
    return str(caught.value)


async def test_call_by_https_of_a_plain_port_is_told(session: aiohttp.ClientSession) -> None:
    assert "does not speak TLS at that port" in await told_by(session, b"HTTP/1.1 400 Bad Request\r\n\r\n", "https")


async def test_call_by_http_of_a_tls_port_is_told(session: aiohttp.ClientSession) -> None:
    assert "Write https:// instead of http://." in await told_by(session, b"\x15\x03\x01\x00\x02\x02\x46")
    assert "Is it an https port?" in await told_by(session, b"")
    status = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"  # nginx
    assert "Is it an https port?" in await told_by(session, status)


async def test_call_of_another_protocol_is_told(session: aiohttp.ClientSession) -> None:
    assert "does not speak HTTP" in await told_by(session, b"SSH-2.0-OpenSSH_9.2\r\n")


async def test_call_of_a_web_page_is_told(session: aiohttp.ClientSession) -> None:
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>"
    assert "is a web page, not a chat server" in await told_by(session, page)


async def test_call_of_a_host_that_is_none_is_told(session: aiohttp.ClientSession) -> None:
    assert "that is not a host name" in await told_of(session, "http://a..b")


async def test_call_by_tls_with_a_certificate_that_nobody_vouches_for_is_told(
    session: aiohttp.ClientSession, tls: ssl.SSLContext
) -> None:
    server = TestServer(web.Application(), scheme="https")
    await server.start_server(ssl=tls)
    assert "self-signed" in await told_of(session, f"https://127.0.0.1:{server.port}")
    await server.close()
