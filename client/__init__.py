"""The chat client: one seat in the room, with a terminal, a log or a web page as its face."""
