"""What a request may hold: bodies, fields, inputs, and the refusals of what may not be. Pure."""
