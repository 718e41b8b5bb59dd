"""Faults on demand: what goes wrong on the way to a client, for whom, and how it is spelled."""
