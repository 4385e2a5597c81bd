"""Somebody who takes part with curl: registers without a callback, sends, reads the history."""

from typing import Any

import aiohttp


class Script:
    """One participant of the server at this address."""

    def __init__(self, http: aiohttp.ClientSession, server: str) -> None:
        self._http = http
        self._server = server
        self._id = ""
        self._token = ""

    async def join(self, name: str) -> "Script":
        """Register, as somebody new each time."""
        self._token = ""
        result = await self.call("Register", name=name)
        self._id, self._token = result["id"], result["token"]
        return self

    async def leave(self) -> None:
        """Unregister."""
        await self.call("Unregister", id=self._id)

    async def say(self, text: str) -> None:
        """Send a message."""
        await self.call("SendMessage", user_id=self._id, text=text)

    async def texts(self) -> list[str]:
        """Give all texts, notices included."""
        messages: list[dict[str, Any]] = []
        after = 0
        while (page := await self.call("GetHistory", after=after, limit=300))["messages"]:
            messages += page["messages"]
            after = messages[-1]["seq"]
        return [message["text"] for message in messages]

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the server, which must succeed."""
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        async with self._http.post(f"{self._server}/rpc", json=request, headers=headers) as response:
            answer = await response.json()
        assert "result" in answer, answer
        result: dict[str, Any] = answer["result"]
        return result
