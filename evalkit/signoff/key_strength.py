"""Keys and signatures that are too weak to sign with (NIST SP 800-131A; RFC 8332, section 5). Pure.

A valid signature by a weak key shows nothing: others can find the private key, or another payload
with the same digest.
"""

from evalkit.signoff.ssh import SshSignature, read_string

MIN_RSA_BITS = 2048
_CERTIFICATE = "-cert-v01@openssh.com"
_KEY_FIELDS = {
    "ssh-rsa": 2,
    "ssh-ed25519": 1,
    "sk-ssh-ed25519": 2,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "sk-ecdsa-sha2-nistp256": 3,
}
"""Types of keys that may sign, and how many values follow the type in the wire format."""
_ALGORITHMS = frozenset(_KEY_FIELDS) - {"ssh-rsa"} | {"rsa-sha2-256", "rsa-sha2-512"}


def weakness(signature: SshSignature) -> str:
    """Return what is weak about a signature or its key, "" if nothing is.

    Raises InvalidEvidence for a key that cannot be read.
    """
    return _key_weakness(signature.key) or _algorithm_weakness(signature.algorithm)


def _key_weakness(key: bytes) -> str:
    name, rest = read_string(key)
    kind = name.decode("ascii", "replace")
    is_certificate = kind.endswith(_CERTIFICATE)
    family = _family(kind.removesuffix(_CERTIFICATE))
    if family not in _KEY_FIELDS:
        return f"keys of the type {kind!r} are weak or unknown"
    if is_certificate:
        _, rest = read_string(rest)  # a nonce
    fields = []
    for _ in range(_KEY_FIELDS[family]):
        value, rest = read_string(rest)
        fields.append(int.from_bytes(value))
    if family == "ssh-rsa":
        exponent, modulus = fields
        if modulus.bit_length() < MIN_RSA_BITS or exponent < 3:
            return f"an RSA key of {modulus.bit_length()} bits is weak (at least {MIN_RSA_BITS})"
    return _authority_weakness(rest) if is_certificate else ""


def _authority_weakness(rest: bytes) -> str:
    """Return what is weak about the authority of a certificate, from its serial number on.

    See openssh PROTOCOL.certkeys.
    """
    rest = rest[8 + 4 :]  # serial number, type
    for _ in ("key id", "principals"):
        _, rest = read_string(rest)
    rest = rest[8 + 8 :]  # valid after, valid before
    for _ in ("critical options", "extensions", "reserved"):
        _, rest = read_string(rest)
    authority, rest = read_string(rest)
    signature, _ = read_string(rest)
    algorithm = read_string(signature)[0].decode("ascii", "replace")
    problem = _key_weakness(authority) or _algorithm_weakness(algorithm)
    return f"its certificate: {problem}" if problem else ""


def _algorithm_weakness(algorithm: str) -> str:
    if _family(algorithm) in _ALGORITHMS:
        return ""
    digest = " (SHA-1)" if algorithm in ("ssh-rsa", "ssh-dss") else ""
    return f"signatures of the type {algorithm!r}{digest} are weak or unknown"


def _family(kind: str) -> str:
    return kind.removesuffix("@openssh.com")
