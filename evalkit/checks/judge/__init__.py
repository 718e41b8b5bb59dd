"""The check ``judge`` and the request that it sends."""
