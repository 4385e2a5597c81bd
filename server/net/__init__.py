"""Network addresses and deadlines, used by requests in both directions."""
