"""Every change of a secret that somebody causes: set, rotate, delete, import (S1, S4).

A value goes from the caller's hands to the store, outside of any transaction, and is kept nowhere on the way.
"""

import re
from collections.abc import Callable
from uuid import UUID

from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from audit.append import append
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import Actor
from envforge.errors import Conflict, EnvForgeError, Invalid, NotVisible
from envforge.ids import id_of_request
from envforge.secret_value import SecretValue
from envforge_protocol.credentials import credential_in
from orgs import policy
from orgs.places import place_at
from orgs.policy import Action
from orgs.roles import Scope
from secrets_ref import imports, paths, ssm, writes
from secrets_ref.keys import ensure_key
from secrets_ref.models import Outcome, Secret, SecretVersion, Wanted, written_by
from secrets_ref.places import place_target
from secrets_ref.troubles import StoreRefused, Trouble
from secrets_ref.writes import Begun, Step

NAME_WORDS = "Use a letter, then letters, digits and _ . - alone; 64 characters at most."
LOOKS_LIKE_A_VALUE = (
    "This looks like a value and not like a name, so it was not kept. Rotate it if others may have seen it."
)
PATH_WORDS = "This is no path below this organization's own prefix."


def set_secret(
    *,
    actor: Actor,
    org_id: UUID,
    name: str,
    value: SecretValue,
    project_id: UUID | None = None,
    workspace_id: UUID | None = None,
    key: str = "",
) -> Secret:
    """Store the first value of a new secret.

    Args:
        workspace_id: the one workspace it is for; its project must be named too.
        key: the same for the same request sent twice; the second then changes and records nothing.

    Raises:
        NotVisible, NotAllowed: see `policy.require`; no such project or workspace.
        Invalid: the name or the value cannot be used.
        Conflict: there is such a secret, or a parameter in its place.
        Unavailable: the store refuses or does not answer.
    """

    def begin() -> Begun:
        with tenancy.enter(org_id):
            place = place_target(project_id, workspace_id)
            policy.require(actor, Action.SECRET_CHANGE, place)
            _require_name(name)
            _require_usable(value)
            secret = _lock_or_make(
                org_id, actor=actor, name=name, project_id=project_id, workspace_id=workspace_id
            )
            write_id = id_of_request(org_id, actor, key)
            if secret.role_id is not None:
                raise Conflict(f"There is a secret {name} already, imported from your own account.")
            if secret.wanted == Wanted.ABSENT:
                raise Conflict(f"The secret {name} is being deleted. Try again in some minutes.")
            if secret.version is not None and not _is_repeated(secret, write_id):
                raise Conflict(f"There is a secret {name} already. Rotate it to give it a new value.")
            return writes.begin(secret, actor=actor, write_id=write_id)

    return _write(org_id, begin, value)


def rotate_secret(
    *, actor: Actor, org_id: UUID, secret_id: UUID, value: SecretValue, key: str = ""
) -> Secret:
    """Store a new value; what runs keeps the version it read until it wakes again.

    Raises:
        As `set_secret`.
    """

    def begin() -> Begun:
        with tenancy.enter(org_id):
            secret = _lock(secret_id)
            policy.require(actor, Action.SECRET_CHANGE, secret)
            _require_usable(value)
            if secret.role_id is not None:
                raise Conflict(
                    f"The secret {secret.name} is kept in your own account. Store its new value there."
                )
            if secret.wanted == Wanted.ABSENT:
                raise Conflict(f"The secret {secret.name} is being deleted.")
            return writes.begin(secret, actor=actor, write_id=id_of_request(org_id, actor, key))

    return _write(org_id, begin, value)


def delete_secret(*, actor: Actor, org_id: UUID, secret_id: UUID) -> None:
    """Delete a secret and its value, every version of it; one imported through a role is only given up. Again, it changes nothing.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
        Conflict: a new value is on its way.
        Unavailable: the store refuses or does not answer; it is deleted as soon as it can be.
    """
    with tenancy.enter(org_id):
        secret = _lock(secret_id, deleted_too=True)
        policy.require(actor, Action.SECRET_CHANGE, secret)
        if secret.deleted_at is not None:
            return
        now = timezone.now()
        if secret.role_id is not None:
            secret.wanted, secret.wanted_at, secret.deleted_at = Wanted.ABSENT, now, now
            secret.save(update_fields=["wanted", "wanted_at", "deleted_at"])
            append(EventKind.SECRET_RELEASED, actor=actor, target=secret)
            return
        if secret.versions.filter(outcome=Outcome.ASKED, leased_until__gt=now).exists():
            raise Conflict("A new value of this secret is just being stored. Try again in a minute.")
        if secret.wanted != Wanted.ABSENT:
            secret.wanted, secret.wanted_at = Wanted.ABSENT, now
            for column, remembered in written_by(actor, "wanted_by").items():
                setattr(secret, column, remembered)
            secret.save()
            # Told at once: that it is gone is told when the store says so, which may be much later.
            append(EventKind.SECRET_DELETION_ASKED, actor=actor, target=secret)
        writes.compare_soon()
    try:
        ssm.delete(secret.path)
    except StoreRefused as refused:
        raise refused.in_words() from None
    writes.gone(org_id, secret_id)


def import_secret(*, actor: Actor, org_id: UUID, path: str) -> Secret:
    """Take up a parameter that lies below the organization's own prefix already; its value is not read (K1).

    Importing it again changes nothing.

    Raises:
        NotVisible, NotAllowed: see `policy.require`; no such project or workspace.
        Invalid: the path is none of the organization's own, or names nothing that could be a secret.
        Conflict: the secret is here, and was set here.
        Unavailable: the store refuses or does not answer.
    """
    with tenancy.enter(org_id):
        parsed = paths.parse(path, org_id)
        if parsed is None:
            # Whoever may import nothing is told so first, as for any path.
            policy.require(actor, Action.SECRET_CHANGE, place_target(None, None))
            raise Invalid(PATH_WORDS, {"path": f"{PATH_WORDS} It begins with {paths.own_prefix(org_id)}"})
        project_id, workspace_id = _place_of(parsed.place_id)
        policy.require(actor, Action.SECRET_CHANGE, place_target(project_id, workspace_id))
        _require_name(parsed.name, field="path")
        known = Secret.objects.filter(
            name=parsed.name, project_id=project_id, workspace_id=workspace_id, deleted_at=None
        ).first()
        if known is not None:
            return imports.taken_before(known)
    try:
        key = ensure_key(org_id)
        found = ssm.describe(path)
    except StoreRefused as refused:
        raise refused.in_words() from None
    found = imports.require_importable(found)
    imports.require_own_key(org_id, found, key)
    with tenancy.enter(org_id):
        return imports.take_up(
            actor, found, name=parsed.name, project_id=project_id, workspace_id=workspace_id
        )


@sensitive_variables()
def _write(org_id: UUID, begin: Callable[[], Begun], value: SecretValue) -> Secret:
    begun = begin()
    if begun.step is Step.ELSEWHERE:
        writes.wait_for(org_id, begun.write_id)
        begun = begin()
    if begun.step is Step.WRITE:
        problem: EnvForgeError | None
        try:
            version = _put(org_id, begun, value)
        except StoreRefused as refused:
            if refused.final:
                writes.refuse(org_id, begun.write_id, refused.trouble)
            else:
                writes.leave(org_id, begun.write_id)
            problem = refused.in_words()
        except EnvForgeError as busy:
            # Before anything was sent.
            writes.refuse(org_id, begun.write_id, Trouble.REFUSED)
            problem = busy
        else:
            problem = _recorded(org_id, begun, version)
        if problem is not None:
            raise problem
    with tenancy.enter(org_id):
        return Secret.objects.get(id=begun.secret_id)


def _recorded(org_id: UUID, begun: Begun, version: int) -> EnvForgeError | None:
    if writes.finish(org_id, begun.write_id, version):
        return None
    # Deleted while the value was on its way.
    try:
        ssm.delete(begun.path)
    except StoreRefused as refused:
        return refused.in_words()
    return Conflict("This secret was deleted meanwhile.")


def _put(org_id: UUID, begun: Begun, value: SecretValue) -> int:
    key = ensure_key(org_id)
    if not begun.exists and not begun.again and ssm.describe(begun.path) is not None:
        # Nobody here put it there: writing over it would lose what somebody else keeps.
        raise StoreRefused(Trouble.EXISTS)
    return ssm.put(begun.path, value, key=key, org_id=org_id, exists=begun.exists)


def _lock(secret_id: UUID, *, deleted_too: bool = False) -> Secret:
    secret = Secret.objects.select_for_update().filter(id=secret_id).first()
    if secret is None or (secret.deleted_at is not None and not deleted_too):
        raise NotVisible
    return secret


def _lock_or_make(
    org_id: UUID, *, actor: Actor, name: str, project_id: UUID | None, workspace_id: UUID | None
) -> Secret:
    now = timezone.now()
    path = paths.path_of(org_id, project_id=project_id, workspace_id=workspace_id, name=name)
    secret, _ = Secret.objects.select_for_update().get_or_create(
        name=name,
        project_id=project_id,
        workspace_id=workspace_id,
        deleted_at=None,
        defaults={
            "path": path,
            "wanted_at": now,
            "changed_at": now,
            **written_by(actor, "wanted_by"),
        },
    )
    return secret


def _is_repeated(secret: Secret, write_id: UUID) -> bool:
    return SecretVersion.objects.filter(id=write_id, secret=secret, outcome=Outcome.WRITTEN).exists()


def _place_of(place_id: UUID | None) -> tuple[UUID | None, UUID | None]:
    if place_id is None:
        return None, None
    workspace = place_at(Scope.WORKSPACE, place_id)
    return (workspace.project_id, place_id) if workspace else (place_id, None)


def _require_name(name: str, *, field: str = "name") -> None:
    if credential_in(name):
        raise Invalid("The name cannot be used.", {field: LOOKS_LIKE_A_VALUE})
    if not re.fullmatch(paths.NAME_FORM, name):
        raise Invalid("The name cannot be used.", {field: NAME_WORDS})


def _require_usable(value: SecretValue) -> None:
    wrong = _what_is_wrong_with(value)
    if wrong:
        raise Invalid("The value cannot be used.", {"value": wrong})


@sensitive_variables()
def _what_is_wrong_with(value: SecretValue) -> str:
    if not value:
        return "Enter a value."
    try:
        size = len(value.reveal_text().encode())
    except ValueError:
        return "Use text: these bytes are not UTF-8."
    return f"Use at most {ssm.LARGEST_VALUE:,} bytes." if size > ssm.LARGEST_VALUE else ""
