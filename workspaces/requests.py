"""Waking a runtime for requests that a gateway has verified (L6); whether they may be led there is for `devlinks` to know."""

from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from envforge import tenancy
from envforge.actor import SYSTEM
from orgs.policy import Action
from workspaces.locks import locked_runtime
from workspaces.models import Observed, WakeCause
from workspaces.operations.runtimes import RuntimeView
from workspaces.wants import ask_awake

# After a wake that failed, requests of visitors do not begin another one before this has passed.
REST_AFTER_FAILURE = timedelta(seconds=60)


def wake_on_request(*, org_id: UUID, workspace_id: UUID, cause: WakeCause, detail: str) -> RuntimeView:
    """Wake for a request that a gateway has verified, as EnvForge; whether it may be led there is for the caller to know.

    Shortly after a wake that failed it changes nothing: a browser that asks again and again must not spend money.

    Raises:
        NotVisible: there is no such workspace.
        CapReached, Conflict: as `wake_runtime`.
    """
    with tenancy.enter(org_id):
        runtime = locked_runtime(SYSTEM, Action.RUNTIME_WAKE, workspace_id)
        rests = (
            runtime.observed == Observed.FAILED and timezone.now() - runtime.observed_at < REST_AFTER_FAILURE
        )
        if not rests:
            ask_awake(runtime, actor=SYSTEM, cause=cause, detail=detail)
        return RuntimeView.of(runtime)
