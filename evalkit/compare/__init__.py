"""Comparing two runs: pairing by identity, statistics that hold, gates. Pure: values in, values out."""
