"""Scripts: answers written by people in YAML, read with located errors. Pure but for reading the file."""
