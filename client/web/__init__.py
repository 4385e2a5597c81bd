"""The web face: a page, and a seat in the room for every browser session that opens it."""
