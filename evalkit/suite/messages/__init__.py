"""The wording of mistakes in a suite file."""
