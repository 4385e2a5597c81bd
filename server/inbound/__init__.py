"""Requests that come in: connections, HTTP, JSON-RPC."""
