"""The cassettes back end: recorded answers over HTTP, for any client."""
