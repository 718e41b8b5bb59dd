"""Scripts in YAML: rules that answer requests, read with located problems."""
