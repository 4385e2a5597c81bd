"""The chat server: participants call POST /rpc, and it POSTs messages to their callbacks."""
