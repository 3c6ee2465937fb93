"""Registering, trying and removing the apps with which an organization lets its repositories be read for minutes (THREATS H2)."""

import re
from uuid import UUID, uuid4

from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from envforge import egress, tenancy
from envforge.actor import Actor
from envforge.egress import EgressRefused
from envforge.errors import Conflict, Invalid
from envforge.ids import id_of_request
from envforge_protocol.credentials import credential_in
from orgs import policy
from orgs.policy import Action
from projects import forge
from projects.forge import App, AppRefused, Trouble
from projects.forge_apps import app_of
from projects.git_addresses import require_address
from projects.locks import locked_app
from projects.models import NAME_FORM, ForgeApp, Repository
from projects.operations.projects import KEY_WORDS
from secrets_ref import signing

MOST_CHECKED = 20
NAME_WORDS = "Use 1 to 40 lower-case letters, digits and single dashes between them."
ID_WORDS = "Use the id as the forge shows it: letters, digits and . _ - alone."
KEY_ARN_WORDS = (
    "Use the ARN of one KMS key, such as arn:aws:kms:eu-central-1:111122223333:key/1234abcd-…; no alias."
)
GIT_WORDS = "Use the address of the owner of the repositories, such as https://github.com/acme."
# Beside which field of the form a trouble is told.
FIELD_OF = {
    Trouble.APP: "client_id",
    Trouble.INSTALLATION: "installation",
    Trouble.SUSPENDED: "installation",
    Trouble.PERMISSION: "installation",
    Trouble.ADDRESS: "api_url",
    Trouble.FORGE: "api_url",
    Trouble.BUSY: "api_url",
}
_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,59})")
_INSTALLATION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,39})")


def register_forge_app(
    *,
    actor: Actor,
    org_id: UUID,
    name: str,
    api_url: str,
    git_url: str,
    client_id: str,
    installation: str,
    key_arn: str,
    key: str = "",
) -> ForgeApp:
    """Register an app; its key, the app and its installation are tried first, and one that does not work is refused.

    Args:
        api_url: the forge's API, such as https://api.github.com.
        git_url: the owner below whom the repositories are, such as https://github.com/acme.
        key_arn: the app's signing key in KMS, which only the organization's sessions may use (THREATS K1).
        key: the same for the same request sent twice; the second then changes and records nothing.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
        Invalid: something cannot be used, or does not work; the words beside the field say what is wrong.
        Conflict: there is an app of this name, or the key was used for another request.
    """
    api_url, git_url = api_url.removesuffix("/"), git_url.removesuffix("/").removesuffix(".git")
    with tenancy.enter(org_id):
        policy.require_here(actor, Action.FORGE_APP_MANAGE)
        _require_form(name, api_url, git_url, client_id, installation, key_arn)
        wanted_id = id_of_request(org_id, actor, key)
        before = _registered(wanted_id, name)
        if before is not None:
            return before
    app = App(
        org_id=org_id,
        api_url=api_url,
        git_url=git_url,
        client_id=client_id,
        installation=installation,
        key_arn=key_arn,
    )
    try:
        forge.check(app, uuid4())
    except AppRefused as refused:
        field = FIELD_OF.get(refused.trouble, "key_arn")
        raise Invalid("The app does not work, so it was not registered.", {field: refused.words}) from None
    with tenancy.enter(org_id):
        policy.require_here(actor, Action.FORGE_APP_MANAGE)
        before = _registered(wanted_id, name)
        if before is not None:
            return before
        made = ForgeApp.objects.create(
            id=wanted_id,
            name=name,
            api_url=api_url,
            git_url=git_url,
            client_id=client_id,
            installation=installation,
            key_arn=key_arn,
        )
        append(EventKind.FORGE_APP_REGISTERED, actor=actor, target=made)
        return made


def check_forge_app(*, actor: Actor, org_id: UUID, name: str) -> list[str]:
    """Try an app, and with it each repository that it reads (twenty at most); answers what is wrong, in words.

    What is minted to try is revoked at once.

    Raises:
        NotVisible, NotAllowed: see `policy.require`; there is no such app.
    """
    with tenancy.enter(org_id):
        policy.require_here(actor, Action.FORGE_APP_MANAGE)
        app = app_of(locked_app(name))
        read = Repository.objects.filter(app__name=name, app__removed_at=None, removed_at=None)
        urls = sorted(set(read.values_list("url", flat=True)))[:MOST_CHECKED]
    try:
        forge.check(app, uuid4())
        token = forge.signed(app)
    except AppRefused as refused:
        return [refused.words]
    wrong = []
    for url in urls:
        repository = app.repository_of(url)
        if repository is None:
            wrong.append(f"{url}: this is not below {app.git_url}.")
            continue
        try:
            minted = forge.mint(app, token, repository)
        except AppRefused as refused:
            wrong.append(f"{url}: {refused.words}")
            if refused.trouble in forge.PASSING:
                break
        else:
            forge.revoke(app.api_url, minted.token)
    return wrong


def remove_forge_app(*, actor: Actor, org_id: UUID, name: str) -> None:
    """Forget an app; its key stays where it is.

    Raises:
        NotVisible, NotAllowed: see `policy.require`; there is no such app.
        Conflict: a repository is read with it.
    """
    with tenancy.enter(org_id):
        policy.require_here(actor, Action.FORGE_APP_MANAGE)
        row = locked_app(name)
        reading = row.repositories.filter(removed_at=None).select_related("project").order_by("name").first()
        if reading is not None:
            raise Conflict(
                f"The repository {reading.name} of {reading.project.name} is read with it. Give that another access first."
            )
        row.removed_at = timezone.now()
        row.save(update_fields=["removed_at"])
        append(EventKind.FORGE_APP_REMOVED, actor=actor, target=row)


def _registered(wanted_id: UUID, name: str) -> ForgeApp | None:
    before = ForgeApp.objects.filter(id=wanted_id).first()
    if before is not None and before.name != name:
        raise Conflict(KEY_WORDS)
    if before is None and ForgeApp.objects.filter(name=name, removed_at=None).exists():
        raise Conflict(f"There is a forge app {name} already. Choose another name.")
    return before


def _require_form(
    name: str, api_url: str, git_url: str, client_id: str, installation: str, key_arn: str
) -> None:
    wrong = {}
    if len(name) > 40 or not re.fullmatch(NAME_FORM, name, re.ASCII) or credential_in(name):
        wrong["name"] = NAME_WORDS
    if not _is_callable(api_url):
        wrong["api_url"] = egress.WORDS[egress.Trouble.URL]
    try:
        require_address(git_url)
        if len(git_url) > 300 or "://" not in git_url or git_url.startswith("ssh:"):
            wrong["git_url"] = GIT_WORDS
    except Invalid as invalid:
        wrong["git_url"] = invalid.fields.get("url", GIT_WORDS)
    for field, given, form in (
        ("client_id", client_id, _ID),
        ("installation", installation, _INSTALLATION),
    ):
        if not form.fullmatch(given) or credential_in(given):
            wrong[field] = ID_WORDS
    if not signing.is_key_arn(key_arn):
        wrong["key_arn"] = KEY_ARN_WORDS
    if wrong:
        raise Invalid("The app cannot be registered like this.", wrong)


def _is_callable(api_url: str) -> bool:
    try:
        egress.require_callable(api_url)
    except EgressRefused:
        return False
    return len(api_url) <= 200 and "?" not in api_url and not credential_in(api_url)
