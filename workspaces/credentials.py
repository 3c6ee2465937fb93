"""What is put into commands when a VM leases them, and stored nowhere (THREATS K2, H2)."""

from collections.abc import Iterable
from uuid import UUID

from pydantic import SecretStr

from envforge_protocol.host.commands import Payload, PrepareShell, RunCommand, StartRuntime
from envforge_protocol.host.runtimes import Reference, ScopedCredential
from hosts.hooks import CommandRef
from secrets_ref.grants import mint_for


def fill_runtime(command: CommandRef, payload: Payload) -> Payload:
    """Credentials for the secrets of a wake: sessions of one service each, since one service's must not open another's."""
    assert isinstance(payload, StartRuntime)  # noqa: S101 - registered for this kind; for the types
    minted = tuple(
        credential
        for service in payload.manifest.services
        for credential in credentials_for(command.org_id, service.references)
    )
    return payload.model_copy(
        update={"manifest": payload.manifest.model_copy(update={"credentials": minted})}
    )


def runtime_has_secrets(payload: Payload) -> bool:
    """Whether `fill_runtime` has something to put in."""
    return isinstance(payload, StartRuntime) and any(one.references for one in payload.manifest.services)


def fill_run(command: CommandRef, payload: Payload) -> Payload:
    """Credentials for the secrets of the service in whose environment a command runs."""
    assert isinstance(payload, RunCommand)  # noqa: S101 - as above
    return payload.model_copy(update={"credentials": credentials_for(command.org_id, payload.references)})


def fill_shell(command: CommandRef, payload: Payload) -> Payload:
    """Credentials for the access of each repository: they open that one secret, on the VM, for minutes (THREATS H2).

    The control plane never holds the value (S1). How long the token behind it lives is the customer's choice at their host.
    """
    assert isinstance(payload, PrepareShell)  # noqa: S101 - as above
    return payload.model_copy(
        update={
            "repositories": tuple(
                one.model_copy(update={"reader": reader})
                if one.access and (reader := next(iter(credentials_for(command.org_id, (one.access,))), None))
                else one
                for one in payload.repositories
            )
        }
    )


def credentials_for(org_id: UUID, references: Iterable[Reference]) -> tuple[ScopedCredential, ...]:
    """Sessions that read exactly these parameters.

    Raises:
        Unavailable: STS refuses or does not answer; the command is leased again later.
    """
    return tuple(
        ScopedCredential(
            arns=session.arns,
            access_key_id=session.credentials.access_key_id,
            secret_access_key=SecretStr(session.credentials.secret_access_key.reveal_text()),
            session_token=SecretStr(session.credentials.session_token.reveal_text()),
            expires_at=session.credentials.expires_at,
        )
        for session in mint_for(org_id=org_id, arns=[one.arn for one in references])
    )
