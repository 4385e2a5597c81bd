"""An open tab of the page. The queue of frames for each tab is bounded, so that a slow tab does not affect the rest."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from aiohttp import WSMsgType, web

MAX_WAITING_FRAMES: Final = 1000
MAX_WAITING_BYTES: Final = 4 * 1024 * 1024


class Tab:
    """The queue of frames for a WebSocket."""

    def __init__(self, socket: web.WebSocketResponse, cut: Callable[[], None]) -> None:
        """Write to `socket`. `cut` aborts its connection at once, without a closing handshake."""
        self._socket = socket
        self.cut = cut
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._more = asyncio.Event()
        self.was_cut = False

    def __repr__(self) -> str:
        return f"<Tab {len(self._waiting)} waiting, {self._waiting_bytes} bytes{', cut' if self.was_cut else ''}>"

    def post(self, frame: bytes) -> None:
        """Queue a frame. A tab that is too far behind is disconnected: the page connects again and catches up."""
        if self.was_cut:
            return
        if len(self._waiting) >= MAX_WAITING_FRAMES or self._waiting_bytes > MAX_WAITING_BYTES:
            self.was_cut = True
            self._waiting.clear()
            self.cut()
            return
        self._waiting.append(frame)
        self._waiting_bytes += len(frame)
        self._more.set()

    async def write(self) -> None:
        """Write queued frames until the connection ends."""
        try:
            while not self.was_cut:
                await self._write_waiting()
                await self._more.wait()
        except ConnectionError:
            return  # the reading side sees the same error and closes the tab

    async def _write_waiting(self) -> None:
        self._more.clear()
        while self._waiting:
            frame = self._waiting.popleft()
            await self._socket.send_frame(frame, WSMsgType.TEXT)
            self._waiting_bytes -= len(frame)

    async def close(self, code: int, reason: str) -> None:
        """Close with a handshake; the page shows `reason`, of at most 123 bytes (RFC 6455, section 5.5)."""
        await self._socket.close(code=code, message=reason.encode())
