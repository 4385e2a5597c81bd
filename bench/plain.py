"""The rival *plain*: the straightforward design, one `session.post` of aiohttp per message and recipient.

    python -m bench.plain '{"port": 40000, "recipients": 100}'                    posts in a closed loop
    python -m bench.plain '{"port": 40000, "recipients": 100, "serves": true}'    serves `SendMessage`

The served chat is in memory only: each message is posted in a task per recipient, and the response is sent at once.
"""

import asyncio
import json
from collections.abc import Mapping
from itertools import count

import aiohttp
import msgspec
from aiohttp import web

from bench.control import answer_commands, arguments, run
from bench.handler import serve
from bench.sample import sample_body, sample_headers


class Parameters(msgspec.Struct):
    """The recipients: paths `/0`, `/1`, … of a port on 127.0.0.1."""

    port: int
    recipients: int
    serves: bool = False

    def urls(self) -> list[str]:
        """Return the callbacks of the recipients."""
        return [f"http://127.0.0.1:{self.port}/{number}" for number in range(self.recipients)]


async def post(session: aiohttp.ClientSession, url: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Post a message to a recipient."""
    async with session.post(url, data=body, headers=headers) as response:
        await response.read()


async def post_again_and_again(session: aiohttp.ClientSession, url: str) -> None:
    """Post to a recipient in a closed loop."""
    body = sample_body()
    headers = sample_headers(body)
    while True:
        await post(session, url, body, headers)


class Chat:
    """A room without a log, without order and without retries."""

    def __init__(self, session: aiohttp.ClientSession, urls: list[str]) -> None:
        self._session = session
        self._urls = urls
        self._seqs = count(1)
        self._headers = sample_headers(sample_body())
        self._posts: set[asyncio.Task[None]] = set()

    async def send(self, request: web.Request) -> web.Response:
        """Handle `SendMessage`: start a POST to each recipient, and respond at once."""
        text = json.loads(await request.read())["params"]["text"]
        seq = next(self._seqs)
        body = sample_body(text, seq)
        for url in self._urls:
            task = asyncio.create_task(post(self._session, url, body, self._headers))
            self._posts.add(task)
            task.add_done_callback(self._posts.discard)
        return web.json_response({"jsonrpc": "2.0", "result": {"success": True, "seq": seq}, "id": 1})


async def main() -> None:
    """Serve or post until the harness ends the process."""
    parameters = arguments(Parameters)
    urls = parameters.urls()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        if parameters.serves:
            await answer_commands({"port": await serve(Chat(session, urls).send)})
        else:
            loops = [asyncio.create_task(post_again_and_again(session, url)) for url in urls]
            await answer_commands({})
            for loop in loops:
                loop.cancel()


if __name__ == "__main__":
    run(main())
