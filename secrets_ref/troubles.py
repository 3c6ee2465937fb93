"""What Parameter Store, KMS and STS answer in trouble, as words a person can act on."""

from enum import StrEnum

from envforge.aws import Refused
from envforge.errors import Conflict, EnvForgeError, Invalid, Unavailable


class Trouble(StrEnum):
    """One kind of trouble; the words stand in the database, so none is renamed."""

    THROTTLED = "throttled"
    DENIED = "denied"
    NOT_FOUND = "not_found"
    EXISTS = "exists"
    KEY_DISABLED = "key_disabled"
    KEY_USAGE = "key_usage"
    PARAMETER_LIMIT = "parameter_limit"
    VERSION_LIMIT = "version_limit"
    VALUE = "value"
    POLICY_SIZE = "policy_size"
    NO_ANSWER = "no_answer"
    REFUSED = "refused"


CODES = {
    "ThrottlingException": Trouble.THROTTLED,
    "Throttling": Trouble.THROTTLED,
    "TooManyUpdates": Trouble.THROTTLED,
    "RequestLimitExceeded": Trouble.THROTTLED,
    "AccessDeniedException": Trouble.DENIED,
    "AccessDenied": Trouble.DENIED,
    "UnrecognizedClientException": Trouble.DENIED,
    "InvalidClientTokenId": Trouble.DENIED,
    "ExpiredTokenException": Trouble.DENIED,
    "ParameterNotFound": Trouble.NOT_FOUND,
    "NotFoundException": Trouble.NOT_FOUND,
    "ParameterAlreadyExists": Trouble.EXISTS,
    "AlreadyExistsException": Trouble.EXISTS,
    "InvalidKeyId": Trouble.KEY_DISABLED,
    "DisabledException": Trouble.KEY_DISABLED,
    "KMSInvalidStateException": Trouble.KEY_DISABLED,
    "InvalidKeyUsageException": Trouble.KEY_USAGE,
    "ParameterLimitExceeded": Trouble.PARAMETER_LIMIT,
    "LimitExceededException": Trouble.PARAMETER_LIMIT,
    "ParameterMaxVersionLimitExceeded": Trouble.VERSION_LIMIT,
    "ValidationException": Trouble.VALUE,
    "ParameterPatternMismatchException": Trouble.VALUE,
    "PackedPolicyTooLarge": Trouble.POLICY_SIZE,
    # What answers with these may have done what was asked.
    "InternalServerError": Trouble.NO_ANSWER,
    "InternalFailure": Trouble.NO_ANSWER,
    "KMSInternalException": Trouble.NO_ANSWER,
    "ServiceUnavailable": Trouble.NO_ANSWER,
    "DependencyTimeoutException": Trouble.NO_ANSWER,
    "500": Trouble.NO_ANSWER,
    "502": Trouble.NO_ANSWER,
    "503": Trouble.NO_ANSWER,
    "504": Trouble.NO_ANSWER,
}

WORDS: dict[Trouble, tuple[type[EnvForgeError], str]] = {
    Trouble.THROTTLED: (
        Unavailable,
        "The secret store is asked too often just now. Nothing was changed; try again in a minute.",
    ),
    Trouble.DENIED: (
        Unavailable,
        "EnvForge may not do this in the secret store. Nothing was changed; tell support, with the request id.",
    ),
    Trouble.NOT_FOUND: (
        Conflict,
        "The secret store has nothing there: it was deleted outside of EnvForge. Set the secret again.",
    ),
    Trouble.EXISTS: (
        Conflict,
        "The secret store has a value there already. Import it in place of setting it.",
    ),
    Trouble.KEY_DISABLED: (
        Unavailable,
        "The key of this organization's secrets is disabled or about to be deleted. Tell support, with the request id.",
    ),
    Trouble.KEY_USAGE: (
        Unavailable,
        "The key is not for this. Tell support, with the request id.",
    ),
    Trouble.PARAMETER_LIMIT: (
        Conflict,
        "The secret store holds as many secrets as it may. Delete one that nothing uses, or tell support.",
    ),
    Trouble.VERSION_LIMIT: (
        Conflict,
        "This secret has as many versions as the store keeps. Tell support, with the request id.",
    ),
    Trouble.VALUE: (
        Invalid,
        "The secret store does not take this value: it is too large, or it contains {{ and }}.",
    ),
    Trouble.POLICY_SIZE: (Unavailable, "Too many secrets at once. Nothing was changed."),
    Trouble.NO_ANSWER: (
        Unavailable,
        "The secret store does not answer. Whether the change arrived shows here within minutes; then try again if it did not.",
    ),
    Trouble.REFUSED: (
        Unavailable,
        "The secret store refused this. Nothing was changed; tell support, with the request id.",
    ),
}


class StoreRefused(Exception):
    """The store did not do what was asked; with `NO_ANSWER` it may have."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.value)
        self.trouble = trouble

    @property
    def final(self) -> bool:
        """Whether it is certain that nothing was changed."""
        return self.trouble is not Trouble.NO_ANSWER

    def in_words(self) -> EnvForgeError:
        """The same for a person."""
        kind, words = WORDS[self.trouble]
        return Invalid(words, {"value": words}) if kind is Invalid else kind(words)


def trouble_of(refused: Refused) -> StoreRefused:
    """What a refusal of AWS means."""
    if not refused.code:
        return StoreRefused(Trouble.NO_ANSWER)
    return StoreRefused(CODES.get(refused.code, Trouble.REFUSED))
