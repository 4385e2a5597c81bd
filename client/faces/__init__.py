"""How a client shows the chat: page, terminal, pipe, headless."""
