"""From the log to recipients: the outbox decides, the delivery acts."""
