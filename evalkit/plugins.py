"""Entry points and conftest registrations into registries."""
