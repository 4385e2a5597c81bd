"""The wire contract, version 1, which server and clients share. No I/O, no clock, no randomness."""
