"""One registration at the server: the participant and what keeps it there."""
