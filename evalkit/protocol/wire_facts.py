"""Facts about the Interactions API that several packages need. Constants and tables only.

Addresses, versions, where a key travels, which values are secrets, which statuses are worth a
retry, and which errors say nothing about the model. Each fact names its source; sections are those
of docs/protocol.md.
"""

# Addresses and versions (sections 1.1 to 1.3).
API_HOST = "generativelanguage.googleapis.com"
API_BASE_URL = f"https://{API_HOST}"
API_VERSIONS = ("v1", "v1beta", "v1alpha", "v1beta1")
DEFAULT_API_VERSION = "v1beta"
API_REVISION = "2026-05-20"
"""Value of the ``Api-Revision`` header that this code describes; the service ignores it."""

API_VERSION_PATTERN = r"v[0-9]+(?:(?:alpha|beta)[0-9]*)?"
"""Regular expression of a version as a path segment, future ones included: ``v1beta``, ``v2``."""

RESOURCES = (
    "interactions",
    "agents",
    "environments",
    "webhooks",
    "triggers",
    "voices",
    "credentials",
    "decisions",
)
"""Collections of the API: the first path segment after version, project and location."""

# Names (section 2).
MODEL_FAMILIES = ("gemini", "gemma", "lyria", "nano-banana")
"""What the names of the SDKs' models begin with; new models of a family appear every month."""

AGENTS = (
    "antigravity-preview-05-2026",
    "antigravity-preview-09-2026",
    "deep-research-preview-04-2026",
    "deep-research-max-preview-04-2026",
    "deep-research-pro-preview-12-2025",
    "code-mender",
)
SENTINEL_SIGNATURES = (
    "skip_thought_signature_validator",
    "context_engineering_is_the_way_to_go",
)
"""Signatures that the service accepts on thoughts which no model produced (section 9)."""

# Keys (section 1.2).
API_KEY_VARIABLES = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
API_KEY_HEADER = "x-goog-api-key"
API_KEY_PARAMETER = "key"

CREDENTIAL_HEADERS = frozenset(
    {
        API_KEY_HEADER,
        "authorization",
        "proxy-authorization",
        "api-key",
        "x-api-key",
        "x-goog-iam-authorization-token",
    }
)
"""Request headers, in lower case, whose value is a credential of this API or a similar one."""

COOKIE_HEADERS = frozenset({"cookie", "set-cookie"})

KEY_PARAMETERS = frozenset(
    {
        API_KEY_PARAMETER,
        "api_key",
        "api-key",
        "apikey",
        "access_token",
        "auth_token",
        "token",
        API_KEY_HEADER,
        "x-goog-signature",
    }
)
"""Query parameters, in lower case, whose value is a credential."""

# Secrets in bodies (section 12; RFC 6749 and RFC 7523 for the tokens of authorization servers).
SECRET_FIELDS = (
    "access_token",
    "refresh_token",
    "id_token",
    "client_secret",
    "assertion",
    "auth_token",
    "environment_key",
    "new_signing_secret",
)
"""Names of fields, in JSON and form bodies, whose string value is a secret."""

SIGNING_SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix, not a secret
"""What every signing secret of a webhook starts with (standardwebhooks.com)."""

# Retries (section 7: the default of both SDKs).
RETRYABLE_STATUSES = frozenset({408, 409, 429})
"""HTTP statuses under 500 that may differ when the same request is sent again."""

# The fault table: whose fault is an API error? Statuses that are listed here, and all from 500, are
# the fault of the infrastructure; every other status is the fault of the model or of the request.
INFRASTRUCTURE_STATUSES = frozenset(
    {
        401,  # no key, or a wrong one
        402,  # billing is not set up
        403,  # the key may not do this
        408,  # the service took too long
        429,  # rate limit or quota
        499,  # the client closed the connection
    }
)


def interactions_path(version: str) -> str:
    """Return the path of the interactions collection; an empty version has no path segment."""
    return f"/{version}/interactions" if version else "/interactions"


def is_retryable(status: int) -> bool:
    """Return whether the same request may get another status when it is sent again.

    An invalid status such as 600 counts as a 5xx (RFC 9110, section 15).
    """
    return status in RETRYABLE_STATUSES or status >= 500


def is_infrastructure_fault(status: int) -> bool:
    """Return whether an error with this HTTP status says nothing about the model."""
    return status in INFRASTRUCTURE_STATUSES or status >= 500
