"""What the fuzzing has found, each as small as it can be."""

import asyncio
import itertools

import pytest

from tests.fuzz.client_ports import ClientRaw
from tests.fuzz.server_ports import ServerRaw
from tests.fuzz.watch import watching
from tests.fuzz.wire import Wire

TURNS = 6  # of the event loop; by then all that was asked for is done

GET = "GET / HTTP/1.1\r\nHost: HOST\r\n\r\n"
EXPECT = "GET / HTTP/1.1\r\nHost: HOST\r\nExpect: 100-continue\r\n\r\n"
HALF_A_CALL = "POST /rpc HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
HALF_A_CALL_BACK = "POST /rpc/alice HTTP/1.1\r\nHost: HOST\r\nContent-Length: 9\r\n\r\n{"
UPGRADE = (
    "GET /ws HTTP/1.1\r\nHost: HOST\r\nOrigin: http://HOST\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: KEY\r\n\r\n"
)


async def send(port: ServerRaw | ClientRaw, text: str) -> Wire:
    wire = await Wire.to(port.number)
    wire.send(text.replace("HOST", f"127.0.0.1:{port.number}").encode())
    return wire


@pytest.mark.parametrize(
    ("new_port", "text"),
    [
        (ServerRaw, HALF_A_CALL),
        (ServerRaw, GET + HALF_A_CALL),
        (ServerRaw, GET + EXPECT),
        (ClientRaw, HALF_A_CALL_BACK),
        (ClientRaw, GET + HALF_A_CALL_BACK),
        (ClientRaw, GET + EXPECT),
        (ClientRaw, GET + UPGRADE.replace("KEY", "dGhlIHNhbXBsZSBub25jZQ==")),
    ],
    ids=["call", "get-call", "get-expect", "call-back", "get-call-back", "client-get-expect", "get-upgrade"],
)
async def test_whoever_hangs_up_at_any_moment_leaves_no_traceback(
    new_port: type[ServerRaw] | type[ClientRaw], text: str
) -> None:
    with watching() as watch:
        async with new_port() as port:
            for turns, says_so in itertools.product(range(TURNS), (True, False)):
                wire = await send(port, text)
                for _ in range(turns):
                    await asyncio.sleep(0)
                if says_so:
                    wire.say_no_more()
                    await wire.end()
                wire.hang_up()
                await port.still_works()
        watch.check()


@pytest.mark.parametrize("new_port", [ServerRaw, ClientRaw])
@pytest.mark.parametrize("line", ["GET / HTTP/1.1", "POST /rpc HTTP/1.1", "GET /nowhere HTTP/1.1"])
async def test_an_expectation_that_is_not_text_cannot_be_met(
    new_port: type[ServerRaw] | type[ClientRaw], line: str
) -> None:
    with watching() as watch:
        async with new_port() as port:
            wire = await Wire.to(port.number)
            wire.send(line.encode() + b"\r\nHost: localhost\r\nExpect: \xff\r\n\r\n")
            response = await wire.response()
            wire.hang_up()
        watch.check()
    assert response is not None
    assert response.status == 417


@pytest.mark.parametrize("key", ["é", "dGhlIHNhbXBsZSBub25jZQ==é", "=", "short"])
async def test_a_websocket_key_that_is_none_is_a_bad_request(key: str) -> None:
    with watching() as watch:
        async with ClientRaw() as port:
            wire = await send(port, UPGRADE.replace("KEY", key))
            response = await wire.response()
            wire.hang_up()
        watch.check()
    assert response is not None
    assert response.status == 400
