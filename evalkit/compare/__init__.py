"""Compare two runs: pairing by identity, statistics, gates. Pure functions of values."""
