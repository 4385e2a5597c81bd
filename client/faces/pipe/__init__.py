"""The chat as lines of text, when standard input or output is not a terminal."""
