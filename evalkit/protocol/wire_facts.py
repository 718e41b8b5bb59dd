"""Facts about the Interactions API that several packages need. Constants and tables only.

Addresses, versions, where a key travels, which values are secrets, which statuses are worth a
retry, and which errors say nothing about the model. Each fact names its source; sections are those
of docs/protocol.md.
"""

from typing import NamedTuple

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

SIBLING_RESOURCES = ("models", "files", "batches", "cachedContents", "operations", "publishers")
"""Collections beside them that the SDKs request under the same versions."""

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
API_TOOLS = (
    "google_search",
    "code_execution",
    "url_context",
    "google_maps",
    "file_search",
    "mcp_server",
    "computer_use",
    "retrieval",
    "tool_search",
)
"""The types of tools besides functions."""

SENTINEL_SIGNATURES = (
    "skip_thought_signature_validator",
    "context_engineering_is_the_way_to_go",
)
"""Signatures that the service accepts on thoughts which no model produced (section 9)."""

# Keys (section 1.2).
API_KEY_VARIABLES = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
API_KEY_HEADER = "x-goog-api-key"
API_KEY_PARAMETER = "key"
UNUSED_KEY = "no-key-is-needed"
"""A key for servers that read none. As long as real ones, so that it is redacted like them, and not
a word, which the texts of a conversation may contain."""

CREDENTIAL_HEADERS = frozenset(
    {
        API_KEY_HEADER,
        "authorization",
        "proxy-authorization",
        "api-key",
        "apikey",
        "x-api-key",
        "x-api-token",
        "x-access-token",
        "x-auth-token",
        "x-amz-security-token",
        "x-csrf-token",
        "x-xsrf-token",
        "x-session-token",
        "x-subject-token",
        "x-goog-iam-authorization-token",
        "x-functions-key",
        "ocp-apim-subscription-key",
        "x-vault-token",
        "private-token",
        "openai-api-key",
        "x-goog-authenticated-user-jwt",
        "x-serverless-authorization",
        "dpop",
    }
)
"""Headers, in lower case, whose value is a credential of this API or of any other service."""

ADDRESS_HEADERS = frozenset({"location", "x-goog-upload-url"})
"""Response headers, in lower case, that send a client to another address (section 1.4)."""

COOKIE_HEADERS = frozenset({"cookie", "set-cookie"})
SECRET_RESPONSE_HEADERS = frozenset(
    {
        "set-cookie",
        "mcp-session-id",
        "x-auth-token",
        "x-csrf-token",
        "x-session-token",
        "x-subject-token",
        "x-xsrf-token",
    }
)
"""Response headers, in lower case, whose value is a credential that the client sends again."""

CHALLENGE_HEADERS = frozenset({"www-authenticate", "proxy-authenticate"})
"""Response headers, in lower case, that ask for credentials and may quote some."""

SECRET_FIELDS = (
    "access_token",
    "refresh_token",
    "id_token",
    "auth_token",
    "session_token",
    "client_secret",
    "client_assertion",
    "assertion",
    "device_code",
    "code_verifier",
    "environment_key",
    "new_signing_secret",
    "signing_secret",
    "signing_secrets",
    "password",
    "passwd",
    "api_key",
    "private_key",
    "secret_key",
    "secret_access_key",
    "access_key",
    "account_key",
    "actor_token",
    "api_token",
    "authenticity_token",
    "bearer_token",
    "csrf_token",
    "encryption_key",
    "oauth_token",
    "passphrase",
    "private_token",
    "sas_token",
    "security_token",
    "signing_key",
    "subject_token",
    "verification_token",
    "xsrf_token",
)
"""Names of fields, in JSON and form bodies, whose string values are secrets (section 12; RFC 6749,
RFC 7523, RFC 7636, RFC 8628 and RFC 8693 for authorization servers; usual names of other services).
``accessToken`` is the same name as ``access_token``, and ``dbPassword`` ends with one."""

AUTH_PARAMETERS = frozenset(
    {
        API_KEY_PARAMETER,
        "api_key",
        "api-key",
        "apikey",
        "access_token",
        "auth_token",
        "token",
        API_KEY_HEADER,
    }
)
"""Query parameters, in lower case, by which a client may authenticate itself to the API."""

KEY_PARAMETERS = AUTH_PARAMETERS | frozenset(
    {
        "auth",
        "auth-key",
        "auth_key",
        "authorization",
        "app_key",
        "jsessionid",
        "jwt",
        "oauth_signature",
        "ocp-apim-subscription-key",
        "phpsessid",
        "pwd",
        "sessionid",
        "subscription-key",
        "secret",
        "sig",
        "signature",
        "x-api-key",
        "x-amz-credential",
        "x-amz-security-token",
        "x-amz-signature",
        "x-goog-credential",
        "x-goog-signature",
        *SECRET_FIELDS,
        *(name.replace("_", "") for name in SECRET_FIELDS),
        *(name.replace("_", "-") for name in SECRET_FIELDS),
    }
)
"""Query parameters, in lower case, whose value is a credential or signs the address."""

# Secrets in bodies.
SECRET_PATHS = (
    ("tools", "[]", "headers", "*"),
    ("tools", "[]", "headers", "*", "[]"),
    ("tools", "[]", "headers", "[]", "value"),
    ("sources", "[]", "headers", "*"),
    ("allowlist", "[]", "transform", "*"),
    ("allowlist", "[]", "transform", "[]", "*"),
    ("environment", "env", "*"),
    ("environment", "env", "*", "value"),
    ("base_environment", "env", "*"),
    ("base_environment", "env", "*", "value"),
)
"""Where strings are secrets: the end of a path of names, with ``[]`` for an item of a list and
``*`` for any name."""

SECRET_REQUEST_FIELDS = {"credentials": ("token", "value")}
"""Further fields with secrets in the bodies of requests to one resource."""

OAUTH_CODE, OAUTH_REQUEST, OAUTH_ANSWER = "code", "grant_type", "state"
"""A field that is a secret where one of the others is beside it (RFC 6749, sections 4.1.2 and
4.1.3)."""

SIGNING_SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix, not a secret
"""What every signing secret of a webhook starts with (standardwebhooks.com)."""

# Retries (section 7: the default of both SDKs).
RETRYABLE_STATUSES = frozenset({408, 409, 429})
"""HTTP statuses under 500 that may differ when the same request is sent again."""

# The fault table (sections 7 and 12; google.rpc.Code and google.rpc.ErrorInfo for the gateway).


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


class Fault(NamedTuple):
    """One row of the fault table: errors that say nothing about the model, and what to do.

    An error belongs to a row by one of its words (its code, or a ``reason`` of its details, in
    lower case), else by ``message``, a regular expression found in its message, else by its number.
    """

    advice: str
    words: frozenset[str]
    message: str = ""
    numbers: frozenset[int] = frozenset()


RUN_AGAIN = "run it again later"
CHECK_ADDRESS = "it is not from the API; check the base URL, and proxies on the way to it"
"""Advice for an HTTP error without an error object, which every error of the API has."""

FAULTS = (
    Fault(
        "check the API key and what its project may use",
        _words(
            "authentication authentication_error unauthenticated permission_denied "
            "invalid_api_key api_key_invalid api_key_expired api_key_service_blocked "
            "api_key_http_referrer_blocked api_key_ip_address_blocked access_token_expired "
            "service_disabled consumer_suspended consumer_invalid"
        ),
        message=r"(?i)\bAPI[ _-]?key (?:is |was |has )?"
        r"(?:not (?:valid|found|set)|invalid|expired|missing|required|reported as leaked)"
        r"|\b(?:invalid|expired|missing(?: a valid)?) API[ _-]?key\b"
        r"|\b(?:pass|provide|supply|specify|use|need) (?:a |your )?valid API[ _-]?key\b",
        numbers=frozenset({401, 403}),
    ),
    Fault(
        "set up billing for the key's project",
        frozenset({"payment_required", "billing_disabled", "billing_not_enabled"}),
        message=r"(?i)\b(?:enable|activate|set ?up) billing\b|\bbilled users\b"
        r"|\bbilling (?:account|is not|has not|must be|to be)\b|\bprepa(?:id|yment) credits\b",
        numbers=frozenset({402}),
    ),
    Fault(
        "send the request from a place that the service supports",
        frozenset({"location_not_supported", "unsupported_location"}),
        message=r"(?i)\blocation is not supported\b"
        r"|\bnot (?:available|supported) in your (?:country|region|location)\b",
        numbers=frozenset({451}),
    ),
    Fault(
        "correct the name of the model or agent, or check whether the key may use it",
        frozenset({"model_not_found", "agent_not_found"}),
        message=r"(?i)^(?:publisher )?(?:model|agent)s?[ /'\"`].{0,200}\bnot found\b",
    ),
    Fault(
        RUN_AGAIN,
        _words(
            "service_unavailable unavailable overloaded model_overloaded overloaded_error "
            "api_error internal internal_error internal_server_error server_error unknown "
            "unknown_error data_loss bad_gateway gateway_timeout deadline_exceeded timeout "
            "request_timeout rate_limit_exceeded quota_exceeded too_many_requests "
            "resource_exhausted aborted cancelled unimplemented"
        ),
        message=r"(?i)\b(?:service|model|server) is (?:currently |temporarily )?"
        r"(?:unavailable|overloaded)\b|\binternal (?:server )?error\b|\bDeadline expired\b"
        r"|^overloaded\b|\b(?:upstream|gateway|connection)\b.{0,40}"
        r"\b(?:error|failure|refused|reset|timed out|timeout)\b",
        # 409 and 499: another request was in the way; the connection was closed.
        numbers=frozenset({408, 409, 429, 499}),
    ),
)
"""Errors whose number is 500 or more belong to the last row. All other errors are the fault of the
model or of the request."""

BLOCKED_CODES = _words(
    "safety recitation language prohibited_content spii blocklist image_safety "
    "image_prohibited_content image_recitation image_other content_blocked"
)
"""Codes of an output that the service withheld (section 7)."""

STATUS_WORDS = (
    "ok", "cancelled", "unknown", "invalid_argument", "deadline_exceeded", "not_found",
    "already_exists", "permission_denied", "resource_exhausted", "failed_precondition", "aborted",
    "out_of_range", "unimplemented", "internal", "unavailable", "data_loss", "unauthenticated",
)  # fmt: skip
"""Words of the numbers 0 to 16 (google.rpc.Code), which errors of steps have as ``code``."""


# What differs in an equal answer (sections 3, 9 and 12): fields of an interaction and of its steps.
VOLATILE_NAMES = (
    "id",
    "call_id",
    "signature",
    "previous_interaction_id",
    "environment_id",
)
"""Opaque strings that the service chooses and that later requests may repeat."""

VOLATILE_MEASURES = ("created", "updated", "usage")
"""Times and counts."""

# Functions that the service declares itself under ``{type: computer_use}`` (section 12). Open list.
COMPUTER_FUNCTIONS = frozenset(
    {
        "open_web_browser",
        "wait_5_seconds",
        "go_back",
        "go_forward",
        "search",
        "navigate",
        "click_at",
        "hover_at",
        "type_text_at",
        "key_combination",
        "scroll_document",
        "scroll_at",
        "drag_and_drop",
    }
)


def resource_path(version: str, resource: str) -> str:
    """Return the path of a resource; an empty version has no path segment."""
    return f"/{version}/{resource}" if version else f"/{resource}"


def interactions_path(version: str) -> str:
    """Return the path of the interactions collection."""
    return resource_path(version, "interactions")


def is_retryable(status: int) -> bool:
    """Return whether the same request may get another status when it is sent again.

    An invalid status such as 600 counts as a 5xx (RFC 9110, section 15).
    """
    return status in RETRYABLE_STATUSES or status >= 500
