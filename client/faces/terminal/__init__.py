"""The terminal face: the chat with a prompt below it."""
