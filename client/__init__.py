"""The chat client: a participant, with a terminal, a log or a web page as its face."""
