"""What server and client need of the machine and share: no chat in it."""
