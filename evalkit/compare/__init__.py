"""Compare two runs: pairing by identity, statistics, gates."""
