"""Valid documents and texts for a JSON Schema, made without chance. Pure."""
