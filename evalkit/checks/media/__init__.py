"""The check ``media`` and the reader of media files."""
