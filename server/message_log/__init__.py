"""The message log: messages, notices, members and their cursors. All state that must survive a restart."""
