"""The server's decision logic, without asyncio, sockets, clock or randomness: data and `now` in, decisions out."""
