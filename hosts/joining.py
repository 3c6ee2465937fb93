"""Letting VMs in: a VM proves which instance it is by its role's signature, and gets a token for an hour (H4).

Nothing is looked up by what the caller claims before STS has said who signed, so that a refusal's word tells a stranger
nothing about which VMs there are.
"""

import re
from typing import NoReturn
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from audit.append import append, append_platform
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import SYSTEM, Target
from envforge.windows import Window
from envforge_protocol.host.commands import MAX_WAIT_S
from envforge_protocol.host.joining import Joined, JoinRequest, Nonce
from hosts import nonces, sts, tokens
from hosts.arrivals import note_joined
from hosts.callers import host_by_instance
from hosts.errors import JoinRefused
from hosts.models import Host, HostVoice, Power

HEARTBEAT_EVERY_S = 5
# So often does one and the same refusal become an event.
REFUSAL_WINDOW_S = 60

SENTENCES = {
    "not_configured": "This control plane is not told which role its VMs have: set ENVFORGE_HOST_ROLE_ID and ENVFORGE_AWS_ACCOUNT_ID.",
    "authorization_form": "The signature is not of the form that is asked for.",
    "header_form": "A signed header's value is not of the form that is asked for.",
    "signed_headers": "Exactly the headers that the protocol names must be signed.",
    "scope": "The signature must be for STS in the control plane's region, of the day it names.",
    "nonce": "The nonce was used, is older than 60 seconds, or is another instance's. Ask for a new one.",
    "signature": "STS does not take this signature.",
    "account": "The signature is of another account.",
    "role": "The signature is of another role.",
    "instance": "The signature is of another instance than the one that was named.",
    "unknown": "No VM of ours is this instance.",
    "generation": "Another VM has taken this one's place.",
    "ended": "This VM is to be ended.",
    "barred": "This VM was shut out.",
}

log = structlog.get_logger(__name__)


def new_nonce(instance_id: str) -> Nonce:
    """What to sign, the same for any instance."""
    return Nonce(
        nonce=nonces.new(instance_id),
        audience=settings.HOST_API_URL,
        expires_in_s=nonces.LIFETIME_S,
    )


def join(request: JoinRequest, *, protocol: int) -> Joined:
    """Let a VM in and give it a token; joining again renews it.

    Raises:
        JoinRefused: with the word for the check that failed, which is recorded.
        Unavailable: STS did not answer. The nonce is spent.
    """
    if not settings.HOST_ROLE_ID or not settings.AWS_ACCOUNT_ID:
        _refuse("not_configured")
    signature = sts.Signature(
        nonce=request.nonce,
        audience=settings.HOST_API_URL,
        amz_date=request.identity.amz_date,
        authorization=request.identity.authorization.get_secret_value(),
        security_token=request.identity.security_token.get_secret_value(),
    )
    malformed = sts.problem(signature)
    if malformed:
        _refuse(malformed)
    if not nonces.spend(request.nonce, request.instance_id):
        _refuse("nonce")
    # Nobody keeps one of the pool's connections while STS is asked.
    connection.close()
    _require_instance(sts.who_signed(signature), request.instance_id)
    ids = host_by_instance(request.instance_id)
    if ids is None:
        _refuse("unknown")
    return _admit(*ids, request, protocol)


def _require_instance(signer: sts.CallerIdentity | None, instance_id: str) -> None:
    """The role's unique id, not its name: a role that was deleted and made again by that name is another one."""
    if signer is None:
        _refuse("signature")
    if signer.account != settings.AWS_ACCOUNT_ID:
        _refuse("account")
    arn = re.fullmatch(
        r"arn:aws[a-z-]*:sts::([0-9]{12}):assumed-role/[\w+=,.@-]{1,64}/([\w+=,.@-]{2,64})", signer.arn
    )
    role_id, _, session = signer.user_id.partition(":")
    if arn is None or arn[1] != signer.account or role_id != settings.HOST_ROLE_ID:
        _refuse("role")
    # EC2 alone may assume the role, and names the session after the instance.
    if not session == arn[2] == instance_id:
        _refuse("instance")


def _admit(org_id: UUID, host_id: UUID, request: JoinRequest, protocol: int) -> Joined:
    with tenancy.enter(org_id):
        host = Host.objects.select_for_update().get(id=host_id)
        voice, _ = HostVoice.objects.get_or_create(host=host)
        wrong = _not_now(host, voice, request)
        if wrong is None:
            held, expires_at = tokens.issue(host, request.boot_id)
            _begin(host, voice, request, protocol)
    if wrong is not None:
        _refuse(wrong, org_id, host.as_target())
    log.info("host.joined", host=str(host_id), generation=host.generation, daemon=request.daemon_version)
    return Joined.model_validate(
        {
            "host_id": host_id,
            "org_id": org_id,
            "generation": host.generation,
            "token": held,
            "expires_at": expires_at,
            "heartbeat_every_s": HEARTBEAT_EVERY_S,
            "poll_for_s": MAX_WAIT_S,
        }
    )


def _not_now(host: Host, voice: HostVoice, request: JoinRequest) -> str | None:
    # Once more, under the lock: the VM may have been replaced meanwhile.
    if host.instance_id != request.instance_id or host.generation != request.generation:
        return "generation"
    if host.wanted == Power.ENDED:
        return "ended"
    if host.generation <= voice.barred_generation:
        return "barred"
    return None


def _begin(host: Host, voice: HostVoice, request: JoinRequest, protocol: int) -> None:
    now = timezone.now()
    # One that was taken for stopped meanwhile has to be heard of anew, too, before it is counted on.
    if (voice.generation, voice.boot_id) != (host.generation, request.boot_id) or host.joined_at is None:
        voice.generation, voice.boot_id, voice.sequence = host.generation, request.boot_id, 0
    note_joined(host, boot_id=request.boot_id, now=now)
    voice.protocol = protocol
    voice.daemon_version, voice.image_version = request.daemon_version, request.image_version
    voice.save()


def _refuse(word: str, org_id: UUID = tenancy.PLATFORM, target: Target | None = None) -> NoReturn:
    """Record the refusal, in the organization's timeline where it is known whose VM it was, and raise it."""
    subject = target or Target("host", "unknown", "an unknown VM")
    window = Window("host.join_refused", (str(org_id), subject.id, word), REFUSAL_WINDOW_S)
    if not window.is_recorded():
        if org_id == tenancy.PLATFORM:
            with transaction.atomic():
                append_platform(EventKind.HOST_JOIN_REFUSED, actor=SYSTEM, target=subject, reason=word)
                window.mark_after_commit()
        else:
            with tenancy.enter(org_id):
                append(EventKind.HOST_JOIN_REFUSED, actor=SYSTEM, target=subject, reason=word)
                window.mark_after_commit()
    raise JoinRefused(word, SENTENCES[word])
