"""What can go wrong."""


class GatewayError(Exception):
    """Of this program; the text is for whoever runs it and holds no value."""


class ConfigError(GatewayError):
    """The settings cannot be used."""


class Unavailable(GatewayError):
    """The control plane gave no answer that can be used."""


class IdentityLost(Unavailable):
    """The control plane does not know this process any more."""


class BadRequest(Exception):
    """A client's request is refused before anything is decided; `status` and `word` are the answer."""

    def __init__(self, status: int, word: str) -> None:
        super().__init__(word)
        self.status = status
        self.word = word


class BadResponse(Exception):
    """A service's answer cannot be passed on."""
