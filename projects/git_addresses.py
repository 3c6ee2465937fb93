"""Which addresses a repository can have: `https://`, `ssh://` and `user@host:path`, and never one with a credential in it."""

import re
from urllib.parse import urlsplit

from django.conf import settings

from envforge.errors import Invalid
from envforge_protocol.credentials import credential_in

MAX_LENGTH = 500
FORMS = "Use an address such as https://git.example.com/team/web.git or git@git.example.com:team/web.git."
NO_CREDENTIAL = (
    "This address has a credential in it, so it was not kept. Give the address alone, and the credential as a secret; "
    "rotate it if others may have seen it."
)
_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
_PATH = r"[A-Za-z0-9._~/+%@-]+"
_USER = r"[A-Za-z_][A-Za-z0-9._-]{0,63}"
_SCP = re.compile(rf"{_USER}@{_HOST}:(?![-/]){_PATH}", re.ASCII)
_URL = re.compile(rf"(?:https?|ssh)://(?:[^@/]*@)?{_HOST}(?::[0-9]{{1,5}})?/(?!-){_PATH}", re.ASCII)
_BRANCH = re.compile(r"(?!-)(?!.*(?:\.\.|//|@\{))[A-Za-z0-9._/+#@-]{1,200}(?<![./])(?<!\.lock)", re.ASCII)


def require_address(url: str) -> str:
    """The address, if a VM may clone from it.

    Plain `http` is for the hosts of the setting ENVFORGE_PLAIN_GIT_HOSTS alone.

    Raises:
        Invalid: another form, a control character, or a credential in it; the message never repeats it.
    """
    if len(url) > MAX_LENGTH or not url.isascii() or not url.isprintable() or " " in url:
        raise _wrong(FORMS)
    if credential_in(url) or _has_userinfo(url):
        raise _wrong(NO_CREDENTIAL)
    if _SCP.fullmatch(url):
        return url
    if not _URL.fullmatch(url) or ".." in url:
        raise _wrong(FORMS)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _wrong(FORMS) from None
    if parts.scheme == "http" and f"{parts.hostname}:{port or 80}" not in settings.PLAIN_GIT_HOSTS:
        raise _wrong("Use https:// or ssh: what http carries can be read and changed on its way.")
    return url


def require_branch(name: str) -> str:
    """The branch, if Git may know one by this name (git-check-ref-format), and no command takes it for an option.

    Raises:
        Invalid: it is none.
    """
    if not _BRANCH.fullmatch(name):
        words = "Use a branch's name, such as main."
        raise Invalid(words, {"default_branch": words})
    return name


def _has_userinfo(url: str) -> bool:
    scheme, separator, rest = url.partition("://")
    if not separator:
        return False
    user, at, _ = rest.partition("/")[0].rpartition("@")
    # Over ssh a user is a name; over https it is half a credential, or a whole one.
    return bool(at) and (scheme != "ssh" or ":" in user or not re.fullmatch(_USER, user))


def _wrong(words: str) -> Invalid:
    return Invalid(words, {"url": words})
