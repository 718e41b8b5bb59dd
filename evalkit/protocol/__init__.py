"""The Interactions API's wire format: tables, steps, errors and streams. Pure."""
