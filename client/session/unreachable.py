"""Sentences on why the chat server cannot be reached: cause and remedy.

Error numbers of different libraries overlap, so each library has its own table: `errno` of the system, `EAI_…` of the
resolver, verification codes of OpenSSL.
"""

import errno
import os
import socket
import ssl
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

SSL_CERT_FILE: Final = "SSL_CERT_FILE"
LONGEST_TOLD_CHARS: Final = 200  # of text from an unknown server
RINGBACK: Final = "Ringback"  # the header `Server` of a chat server, and of a client's page

BROKE_OFF: Final = "the connection broke off before an answer came."
PERHAPS_HTTPS: Final = " Is it an https port?"
SYSTEM: Final[Mapping[int, str]] = {
    errno.ECONNREFUSED: "the connection was refused. Is the server running, and is the port right?",
    errno.ETIMEDOUT: "nothing answers at that address. Is the host up, and does a firewall let you through?",
    errno.EHOSTUNREACH: "there is no route to that host. Is it up, and in a network that this computer reaches?",
    errno.ENETUNREACH: "this computer has no route to that network. Is it online?",
    errno.ENETDOWN: "this computer's network is down.",
    errno.EADDRNOTAVAIL: "this computer has no address, or no free port, to call from.",
    errno.EPERM: "a firewall on this computer blocks the connection.",
    errno.EACCES: "this computer does not permit this program to use that address.",
    errno.EMFILE: "this program has too many files open (ulimit -n).",
    errno.ENFILE: "this computer has too many files open.",
    errno.ECONNRESET: BROKE_OFF,
    errno.ECONNABORTED: BROKE_OFF,
    errno.EPIPE: BROKE_OFF,
}
RESOLVER: Final[Mapping[int, str]] = {
    socket.EAI_NONAME: "that host name is unknown. Is it spelled right?",
    socket.EAI_AGAIN: "the name server does not respond. Is this computer online?",
    getattr(socket, "EAI_NODATA", socket.EAI_NONAME): "that name has no address.",
    socket.EAI_FAIL: "the name server failed.",
}

# X509_V_ERR_… of OpenSSL (include/openssl/x509_vfy.h.in).
CERTIFICATE: Final[Mapping[int, str]] = {
    9: "its certificate is not valid yet. Is this computer's clock right?",
    10: "its certificate has expired. Its operator has to renew it; or is this computer's clock wrong?",
    18: "its certificate is self-signed. Name it in SSL_CERT_FILE if you trust it.",
    19: "its certificate is from an authority that this computer does not know. Name that authority in SSL_CERT_FILE.",
    20: "its certificate is from an unknown authority, or the server omits intermediate certificates. Name the"
    " authority in SSL_CERT_FILE if you trust it.",
    21: "it does not send the intermediate certificates. Its operator has to add them.",
    23: "its certificate was revoked. Do not use this server before its operator has a new one.",
    62: "its certificate is for another host name. Use the name that it is for.",
    64: "its certificate is not for this IP address. Use the name that it is for.",
}
TLS: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"),
        "it does not speak TLS at that port. Write http:// if the port is plain HTTP, or another port.",
    ),
    **dict.fromkeys(
        ("TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "NO_PROTOCOLS_AVAILABLE"),
        "it supports no TLS version that this computer supports.",
    ),
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it supports no encryption that this computer supports.",
    "TLSV1_UNRECOGNIZED_NAME": "it has no certificate for that host name. Is the name right?",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it requires a client certificate, and this client has none.",
    "UNEXPECTED_EOF_WHILE_READING": "the connection ended while TLS was being set up.",
}

STATUS: Final[Mapping[int, str]] = {
    400: "does not understand the request (HTTP status 400). Is it an https port?",
    401: "asks for a login that Ringback does not have (HTTP status 401): a proxy in front of it requires it.",
    403: "refuses access (HTTP status 403): a proxy or a firewall in front of it does.",
    405: "accepts no calls there (HTTP status 405): it is another web server, or the address has a wrong path.",
    407: "is behind a proxy that requires a login (HTTP status 407).",
    408: "did not get the request in time (HTTP status 408). Is the connection slow?",
    413: "does not accept a request of this size (HTTP status 413): a proxy in front of it has a limit below 1 MiB.",
    415: "does not accept JSON (HTTP status 415): it is another web server.",
    421: "does not answer to that host name (HTTP status 421). Use the name that it is known by.",
    429: "asks to slow down (HTTP status 429): a proxy in front of it limits requests.",
    500: "had an internal error (HTTP status 500). Its log has the cause.",
    502: "is a proxy that cannot reach the chat server behind it (HTTP status 502). Is the server running?",
    504: "is a proxy that gets no response from the chat server behind it (HTTP status 504).",
    511: "is this network, which asks for a login first (HTTP status 511): open any web page in a browser.",
}
NOT_FOUND_RINGBACK: Final = (
    "belongs to Ringback, but is not a chat server (HTTP status 404): it is a client's page, or the path is wrong. The"
    " server's address looks like http://localhost:9999."
)
NOT_FOUND: Final = (
    "has no chat server at that address (HTTP status 404): it is another web server, or the path is wrong."
)


def words_for_failure(error: Exception, server: str) -> str:
    """Return a sentence on why `server` did not respond."""
    cannot = f"The chat server at {server} cannot be reached:"
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return f"{cannot} connecting took too long. Is the host up, and does a firewall let you through?"
    if isinstance(error, TimeoutError):
        return f"The chat server at {server} does not answer."
    if isinstance(error, aiohttp.ClientResponseError):
        if _is_tls_alert(error):
            return f"{cannot} it speaks TLS at that port. Write https:// instead of http://."
        return f"{cannot} what answers there does not speak HTTP. Is the port right?"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        hint = PERHAPS_HTTPS if urlsplit(server).scheme == "http" else ""
        return f"{cannot} it closed the connection without an answer.{hint}"
    if isinstance(error, aiohttp.ClientPayloadError):
        return f"{cannot} its answer broke off."
    if isinstance(error, UnicodeError | aiohttp.InvalidURL):
        return f"{cannot} that is not a host name."
    words = _of_connection(error)
    hint = PERHAPS_HTTPS if words == BROKE_OFF and urlsplit(server).scheme == "http" else ""
    return f"{cannot} {words}{hint}"


def _is_tls_alert(error: aiohttp.ClientResponseError) -> bool:
    """Return whether aiohttp's message quotes a TLS alert (RFC 8446, section 5.1: type 21, version 3)."""
    return r"\x15\x03" in error.message


def _of_connection(error: Exception) -> str:
    # On an open connection, aiohttp keeps the number of an OpenSSL error but not its type.
    cause: Any = getattr(error, "os_error", None) or (
        error.__cause__ if isinstance(error.__cause__, OSError) else error
    )
    if isinstance(cause, ssl.SSLCertVerificationError):
        words = CERTIFICATE.get(cause.verify_code, f"its certificate is not valid: {cause.verify_message}.")
        return f"{words}{_unread_authorities() if SSL_CERT_FILE in words else ''}"
    if isinstance(cause, ssl.SSLError):
        reason = cause.reason or "unknown reason"
        return TLS.get(reason, f"TLS could not be set up: {reason.lower().replace('_', ' ')}.")
    if isinstance(cause, socket.gaierror) or isinstance(error, aiohttp.ClientConnectorDNSError):
        return RESOLVER.get(cause.errno or 0, f"its name could not be looked up: {cause.strerror or cause}.")
    return _of_system(cause)


def _unread_authorities() -> str:
    """Return a sentence if SSL_CERT_FILE is set but unusable, which OpenSSL ignores."""
    file = os.environ.get(SSL_CERT_FILE)
    if not file:
        return ""
    try:
        ssl.create_default_context(cafile=file)
    except OSError as error:
        why = "holds no certificate" if isinstance(error, ssl.SSLError) else f"cannot be read ({error.strerror})"
        return f" It names {file} now, which {why}."
    return ""


def _of_system(cause: Exception) -> str:
    number = getattr(cause, "errno", None)
    if number:
        return SYSTEM.get(number, f"{os.strerror(number)}.")
    if isinstance(cause, ConnectionError):
        return BROKE_OFF
    if isinstance(cause, OSError):
        return "none of its addresses takes the connection. Is the server running?"
    return f"{str(cause) or type(cause).__name__}."


def words_for_status(status: int, headers: Mapping[str, str], server: str) -> str:
    """Return a sentence on a status other than 200."""
    if 300 <= status < 400:
        to = headers.get("Location", "")[:LONGEST_TOLD_CHARS]
        where = f"elsewhere, to {to}" if to else "elsewhere"
        return f"{server} sends callers {where} (HTTP status {status}). Give the address of the chat server."
    if status == 503:
        who = "" if headers.get("Server") == RINGBACK else ": a proxy in front of it says so (HTTP status 503)"
        return f"The chat server at {server} is not ready{who}."
    if status == 404:
        return f"What answers at {server} {NOT_FOUND_RINGBACK if headers.get('Server') == RINGBACK else NOT_FOUND}"
    if words := STATUS.get(status):
        return f"What answers at {server} {words}"
    return f"{server} answered with HTTP status {status}{_phrase(status)}: is it a chat server?"


def words_for_body(content_type: str, server: str) -> str:
    """Return a sentence on a 200 with an invalid body."""
    if content_type == "text/html":
        return (
            f"What answers at {server} is a web page, not a chat server: is the address right, or does this network ask"
            " for a login first?"
        )
    return f"What answers at {server} does not speak as a chat server of this version does."


def _phrase(status: int) -> str:
    try:
        return f" ({HTTPStatus(status).phrase})"
    except ValueError:
        return ""
