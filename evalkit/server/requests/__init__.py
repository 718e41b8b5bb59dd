"""Requests of clients: read bodies, fields and inputs; error responses. Pure."""
