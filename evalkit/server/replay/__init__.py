"""A back end that serves recorded responses from cassettes to any HTTP client."""
