"""The decisions of the server, without asyncio, sockets, clock or randomness: data and `now` in, decisions out."""
