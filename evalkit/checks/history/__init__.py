"""The check ``history``: stateless requests must re-send the whole history."""
