"""The wire contract, version 1: what both sides say to each other. No I/O, no clock, no randomness."""
