"""Secrets that are known by their format alone: keys and tokens of vendors, private keys. Pure.

A recording is written without them, and lint finds them in any cassette. Only formats that nobody
writes by chance are here, and none is searched for inside a longer run of Base64: signatures, ids
and media are random too. Placeholders (``REDACTED``, ``<key>``, ``dummy``) are ignored.
"""

import re
from dataclasses import dataclass
from operator import itemgetter

from evalkit.cassette.secret_names import looks_random
from evalkit.protocol.wire_facts import KEY_PARAMETERS


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretFormat:
    """One format of a secret.

    ``marker`` is a text in every such secret. ``find`` matches it on its own; ``hide`` also matches
    inside a longer run of its characters and up to its end: what must be masked. ``code`` is that
    of lint's finding.
    """

    description: str
    marker: str
    code: str
    find: re.Pattern[str]
    hide: re.Pattern[str]


def _format(
    description: str,
    marker: str,
    pattern: str,
    code: str = "secret_token",
    *,
    embedded: bool = False,
    rest: str = "",
) -> SecretFormat:
    alone = rf"(?<![A-Za-z0-9_+/-]){pattern}(?![A-Za-z0-9_+/-])"
    find = re.compile(pattern if embedded else alone)
    return SecretFormat(
        description=description,
        marker=marker,
        code=code,
        find=find,
        hide=re.compile(pattern + rest),
    )


FORMATS: tuple[SecretFormat, ...] = (
    _format("a Google API key", "AIza", r"AIza[0-9A-Za-z_-]{35}"),
    _format("a Google API key", "AQ.", r"AQ\.[A-Za-z0-9_-]{40,80}"),
    _format("a Google OAuth access token", "ya29.", r"ya29\.(?:[a-z]\.)?[0-9A-Za-z_-]{30,}"),
    _format("a Google OAuth refresh token", "1//0", r"1//0[0-9A-Za-z_-]{38,}"),
    _format("a Google OAuth client secret", "GOCSPX-", r"GOCSPX-[0-9A-Za-z_-]{20,}"),
    _format("a GitHub token", "gh", r"gh[opsur]_[A-Za-z0-9]{36,}"),
    _format("a GitHub token", "github_pat_", r"github_pat_[A-Za-z0-9_]{60,}"),
    _format("a GitLab token", "gl", r"gl(?:pat|ptt|dt|rt|cbt|agent|oas)-[A-Za-z0-9_-]{20,}"),
    _format("an API key", "sk-", r"sk-(?:proj-|ant-|svcacct-|live-)?[A-Za-z0-9_-]{40,}"),
    _format("a Stripe key", "k_live_", r"[rs]k_live_[A-Za-z0-9]{20,}"),
    _format("a Stripe key", "k_test_", r"[rs]k_test_[A-Za-z0-9]{20,}"),
    _format("a Groq key", "gsk_", r"gsk_[A-Za-z0-9]{40,}"),
    _format("an xAI key", "xai-", r"xai-[A-Za-z0-9]{60,}"),
    _format("a Perplexity key", "pplx-", r"pplx-[A-Za-z0-9]{40,}"),
    _format("a Replicate token", "r8_", r"r8_[A-Za-z0-9]{30,}"),
    _format("an NVIDIA key", "nvapi-", r"nvapi-[A-Za-z0-9_-]{40,}"),
    _format("an npm token", "npm_", r"npm_[A-Za-z0-9]{36,}"),
    _format("a PyPI token", "pypi-", r"pypi-[A-Za-z0-9_-]{50,}"),
    _format("a Docker token", "dckr_", r"dckr_[a-z]{3}_[A-Za-z0-9_-]{20,}"),
    _format("a SendGrid key", "SG.", r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{20,}"),
    _format("a Shopify token", "shp", r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    _format("a Databricks token", "dapi", r"dapi[0-9a-f]{32}(?:-[0-9])?"),
    _format("a DigitalOcean token", "_v1_", r"do[opr]_v1_[0-9a-f]{64}"),
    _format("a HashiCorp Vault token", "hv", r"hv[bsr]\.[A-Za-z0-9_-]{24,}"),
    _format("a Grafana token", "gls", r"glsa_[A-Za-z0-9]{32}_[0-9A-Fa-f]{8}"),
    _format("an Atlassian token", "ATATT3", r"ATATT3[A-Za-z0-9_=-]{50,}"),
    _format("a Telegram bot token", ":AA", r"[0-9]{8,10}:AA[A-Za-z0-9_-]{33}"),
    _format(
        "an address of a Slack webhook",
        "hooks.slack.com/",
        r"hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/_-]{30,}",
        embedded=True,
    ),
    _format(
        "an address of a Discord webhook",
        "/api/webhooks/",
        r"/api/webhooks/[0-9]{17,20}/[A-Za-z0-9_-]{40,}",
        embedded=True,
    ),
    _format("a Linear key", "lin_", r"lin_(?:api|oauth)_[A-Za-z0-9]{32,}"),
    _format("a Notion token", "ntn_", r"ntn_[A-Za-z0-9]{40,}"),
    _format("a Figma token", "figd_", r"figd_[A-Za-z0-9_-]{36,}"),
    _format("a Postman key", "PMAK-", r"PMAK-[0-9A-Za-z]{20,}-[0-9A-Za-z]{30,}"),
    _format("an age key", "AGE-SECRET-KEY-", r"AGE-SECRET-KEY-1[0-9A-Z]{50,}"),
    _format("a Hugging Face token", "hf_", r"hf_[A-Za-z0-9]{30,}"),
    _format("an AWS access key id", "AKIA", r"AKIA[0-9A-Z]{16}"),
    _format("an AWS access key id", "ASIA", r"ASIA[0-9A-Z]{16}"),
    _format("a Slack token", "xox", r"xox[abeoprs]-[0-9A-Za-z-]{20,}"),
    _format("a Slack token", "xapp-", r"xapp-[0-9]-[0-9A-Za-z-]{20,}"),
    _format("a signing secret of a webhook", "whsec_", r"whsec_[A-Za-z0-9+/_-]{20,}={0,2}"),
    _format(
        "a JSON web token",
        "eyJ",
        r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}",
    ),
    _format(
        "an encrypted JSON web token",
        "eyJ",
        r"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]{10,}){2}\.[A-Za-z0-9_-]{16,}",
    ),
    _format(
        "a private key of PuTTY",
        "Private-Lines:",
        r"Private-Lines: [0-9]+(?:\s|\\[rn])+[A-Za-z0-9+/=\s]{40,}",
        embedded=True,
    ),
    _format(
        "a private key",
        "PRIVATE KEY",
        r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----",
        "private_key",
        embedded=True,
        rest=r"(?:(?s:.{0,50000}?)-----END (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----|[^-]*)",
    ),
    _format(
        "a service account",
        ".iam.gserviceaccount.com",
        r"[a-z0-9-]+@[a-z0-9.-]+\.iam\.gserviceaccount\.com",
        "account_identifier",
    ),
    _format(
        "a project number",
        "projects/",
        r"(?<=projects/)[0-9]{9,14}(?![0-9A-Za-z])",
        "account_identifier",
        embedded=True,
    ),
)

_CREDENTIALS = tuple(known for known in FORMATS if known.code != "account_identifier")
_SHORTEST, _LONG = 20, 4096
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_PLACEHOLDER = re.compile(
    r"redact|dummy|fake|filtered|hidden|masked|placeholder|example|anything|no-key|not-a-"
    r"|x{4,}|\*{3,}|^<.*>$|^\$?\{.*\}$|^\[.*\]$|^test",
    re.IGNORECASE,
)


# An address with a signature or a key lets everybody use it.
_KEY_IN_URL = re.compile(
    rf"""[?&](?:amp;)?({"|".join(map(re.escape, sorted(KEY_PARAMETERS)))})="""
    r"""([^\s&"'<>\\#;)\]]{16,})""",
    re.IGNORECASE,
)


_PASSWORD_IN_URL = re.compile(r"://[^\s/:@\"'<>]*:([^\s/@\"'<>]{8,})@")


def is_placeholder(text: str) -> bool:
    """Return whether a text says that it is in the place of a secret."""
    return _PLACEHOLDER.search(text) is not None


def has_credential(text: str) -> bool:
    """Return whether a text has a credential of a known format."""
    return bool(credentials(text))


def credentials(text: str) -> list[tuple[int, int]]:
    """Return the positions of credentials of known formats, in order and without overlaps."""
    # Most texts of a document are short, and the longest are media.
    if len(text) < _SHORTEST or (len(text) > _LONG and _BASE64.fullmatch(text)):
        return []
    found = [(start, end) for _, start, end in keys_in_urls(text)]
    # A format has no double quote. A result repeats most of its strings, and searching each once
    # takes half the time: one twentieth of a replay.
    strings = "\n".join({string for string in text.split('"') if len(string) >= _SHORTEST})
    for known in _CREDENTIALS:
        # ``hide`` begins with the marker: it is found in a tenth of the time that ``find`` takes.
        if known.marker in strings and known.hide.search(text):
            pattern = known.hide if known.code == "private_key" else known.find
            found += [one.span() for one in pattern.finditer(text) if not is_placeholder(one[0])]
    if len(found) < 2:
        return found
    merged: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if merged and start < merged[-1][1]:
            start, end = merged[-1][0], max(end, merged.pop()[1])
        merged.append((start, end))
    return merged


def keys_in_urls(text: str) -> list[tuple[str, int, int]]:
    """Return the names and the positions of keys and signatures in the addresses of a text."""
    found = []
    for sign in "?&":
        # Searching with the pattern would take ten times as long, and every result is searched.
        at = text.find(sign)
        while at >= 0:
            match = _KEY_IN_URL.match(text, at)
            if match and looks_random(match[2]) and not is_placeholder(match[2]):
                found.append((match[1], *match.span(2)))
            at = text.find(sign, at + 1)
    if "://" in text and "@" in text:
        for match in _PASSWORD_IN_URL.finditer(text):
            if looks_random(match[1]) and not is_placeholder(match[1]):
                found.append(("password", *match.span(1)))
    return sorted(found, key=itemgetter(1))
