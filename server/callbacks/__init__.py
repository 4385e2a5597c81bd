"""Outgoing HTTP: a POST to a callback, within the limits of the protocol.

`callback` is the interface for the rest of the server. It uses `connector` (look-up, address check, connect, TLS),
`connection` (a kept connection), `http_response` and `heads` (parse the response), `io_batcher` (batches reads and
writes across connections) and `endpoints` (callbacks that share an address and port).
"""
