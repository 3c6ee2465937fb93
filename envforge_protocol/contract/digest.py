"""The canonical form of a contract and its digest: what an approval is bound to (W2).

The digest covers what the contract means, not how it is written: comments, blank lines, quotes, the order of keys, short
forms and written-out defaults do not change it; each value of each field does, descriptions too, because people decide by
them. That is safe because a contract is read in one way only, by `parse`: it refuses whatever two readers could
understand differently, and nothing in EnvForge acts on the file's bytes. What a command runs is the repository's code,
which changes with every commit and is not part of the contract.

Fields at their defaults are left out, so that a field which is added later does not change the digest of what was
approved. For the same reason a default of version 1 never changes.
"""

from hashlib import sha256

from envforge_protocol.audit.canonical import canonical
from envforge_protocol.contract.model import Contract

_PREFIX = b"envforge.contract.v1\n"


def canonical_form(contract: Contract) -> bytes:
    """The contract as canonical JSON (RFC 8785), which `parse` reads as the same contract."""
    return canonical(contract.model_dump(mode="json", by_alias=True, exclude_defaults=True))


def digest(contract: Contract) -> str:
    """SHA-256 over the canonical form, as 64 lower-case hexadecimal digits."""
    return sha256(_PREFIX + canonical_form(contract)).hexdigest()
