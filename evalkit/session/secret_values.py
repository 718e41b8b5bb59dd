"""Environment variables that suites send: while recording or live their values are secrets.

A replay reads none of them, because recordings have the token of redacted values in their place.
"""

from collections.abc import Iterable, Mapping

from evalkit.cassette.redaction import SecretValue, is_replaceable
from evalkit.suite.model.templates import TemplateError


class SecretValues:
    """Reads the variables of one environment."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def __call__(self, name: str) -> str:
        """Return a value. Raises TemplateError: not set, or it could not be redacted."""
        value = self._environment.get(name, "")
        if not value:
            raise TemplateError(
                f"the environment variable {name} is not set (it is needed to record and to run "
                "live, not to replay); set it"
            )
        if not is_replaceable(SecretValue(value.strip())):
            raise TemplateError(
                f"the value of the environment variable {name} is too short or too ordinary to be "
                "kept out of recordings (expected a secret of eight characters or more); "
                "write what is not secret in 'vars'"
            )
        return value

    def known(self, names: Iterable[str]) -> list[str]:
        """Return the values of those names that are set."""
        return [SecretValue(value) for value in self.subset(names).values()]

    def subset(self, names: Iterable[str]) -> dict[str, str]:
        """Return those of the variables that are set, with their values."""
        return {name: value for name in names if (value := self._environment.get(name))}
