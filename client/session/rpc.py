"""Calls to the server: JSON-RPC by jsonrpcclient, over an aiohttp session."""

from typing import Any, Final, TypeVar

import aiohttp
import jsonrpcclient
import msgspec

from client.errors import CallRefused, ServerUnreachable
from client.session.unreachable import words_for_body, words_for_failure, words_for_status
from protocol.errors import ErrorCode
from protocol.json_text import BYTE_ORDER_MARK, convert
from protocol.methods import CONTENT_TYPE, RPC_PATH

T = TypeVar("T")

# Register waits up to 5 s for the server's proof request, and may queue behind 63 other registrations.
TIMEOUT: Final = aiohttp.ClientTimeout(total=15.0, sock_connect=5.0)
LONGEST_RETRY_AFTER: Final = 3600.0


class ServerRpc:
    """Calls the methods of `server`, a base address such as `http://localhost:9999`."""

    def __init__(self, session: aiohttp.ClientSession, server: str) -> None:
        self._session = session
        self.server = server.rstrip("/")

    async def call(self, method: str, params: msgspec.Struct, result: type[T], token: str | None = None) -> T:
        """Call `method` and return its result, converted to the type `result`.

        Raise `CallRefused` for an error of the server, `ServerUnreachable` without a valid response.
        """
        given = {name: value for name, value in msgspec.to_builtins(params).items() if value is not None}
        request = jsonrpcclient.request(method, params=given)
        body, content_type = await self._post(_encode(request), token)
        return self._result(body, content_type, request["id"], result)

    async def _post(self, body: bytes, token: str | None) -> tuple[bytes, str]:
        """Return the body of the response and its content type."""
        headers = {"Content-Type": CONTENT_TYPE}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        try:
            # Redirects are not followed: they would send the token to another server.
            async with self._session.post(
                self.server + RPC_PATH, data=body, headers=headers, timeout=TIMEOUT, allow_redirects=False
            ) as response:
                if response.status != 200:
                    raise self._wrong_status(response)
                return await response.read(), response.content_type
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ServerUnreachable(words_for_failure(error, self.server)) from error

    def _wrong_status(self, response: aiohttp.ClientResponse) -> ServerUnreachable:
        wait = _seconds(response.headers.get("Retry-After", "")) if response.status in (429, 503) else None
        return ServerUnreachable(words_for_status(response.status, response.headers, self.server), wait)

    def _result(self, body: bytes, content_type: str, request_id: object, result: type[T]) -> T:
        try:
            reply = jsonrpcclient.parse(msgspec.json.decode(body.removeprefix(BYTE_ORDER_MARK)))
            if isinstance(reply, jsonrpcclient.Error):
                refusal = convert(reply._asdict(), _Refusal)
                raise CallRefused(refusal.code, refusal.message, refusal.data)
            if not isinstance(reply, jsonrpcclient.Ok) or reply.id != request_id:
                raise ValueError("not a response to this request")
            return convert(reply.result, result)
        # jsonrpcclient does not validate the shape of a response: the error for another shape varies.
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
            raise ServerUnreachable(words_for_body(content_type, self.server)) from error


class _Refusal(msgspec.Struct):
    """The error object of a response."""

    code: int
    message: str = ""
    data: dict[str, Any] | None = None


def _encode(request: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(request)
    except UnicodeEncodeError:  # half a surrogate pair, such as from a terminal with another encoding
        given = request.get("params", {})
        field = next((name for name, value in given.items() if not _is_unicode(value)), "text")
        problem = {"field": field, "problem": "holds characters that are not valid Unicode"}
        raise CallRefused(ErrorCode.INVALID_PARAMS, ErrorCode.INVALID_PARAMS.message, problem) from None


def _is_unicode(value: object) -> bool:
    try:
        msgspec.json.encode(value)
    except UnicodeEncodeError:
        return False
    return True


def _seconds(header: str) -> float | None:
    return min(float(header), LONGEST_RETRY_AFTER) if header.isascii() and header.isdigit() else None
