"""A proxy that forwards requests to an upstream and records each conversation into a cassette."""
