"""The proxy: answers of an upstream passed through as they arrive, each conversation recorded into a cassette of its own."""
