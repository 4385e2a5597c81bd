"""What the methods do: members, names, registration, limits, the room."""
