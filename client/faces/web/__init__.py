"""The web face: serves a page, and registers a participant for each browser session that opens it."""
