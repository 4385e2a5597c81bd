"""The face for a person at a terminal: a prompt below the chat."""
