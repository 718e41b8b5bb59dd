"""The version of evalkit, where every package can import it."""

VERSION = "0.1.0"
