"""The chat server: every participant rings it at POST /rpc, and it rings them back."""
