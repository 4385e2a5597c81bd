"""Outgoing HTTP: a POST to a callback, within the limits of the protocol.

`callback` is the interface for the rest of the server. It uses `dialling` (connects to a checked address), `connection`
(a kept connection), `answer` and `heads` (parse the response), `turns` (batches reads and writes across
connections), `deadlines` (ends exchanges that take too long) and `places` (callbacks that share an address and port).
"""
