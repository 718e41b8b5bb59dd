"""The Interactions API's wire format: facts and tables, steps, errors, streams. Pure functions over JSON."""
