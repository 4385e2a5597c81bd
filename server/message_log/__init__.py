"""The log of messages and members: the one thing that the server must not lose."""
