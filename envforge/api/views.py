"""What every address of the API begins with: who asks, how often, and which parameters it takes."""

from typing import Any

from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request
from rest_framework.views import APIView

from envforge.actor import Actor
from envforge.api.rules import actor_of
from envforge.errors import Invalid


class ActorAPIView(APIView):
    """A view of the API for any actor.

    An authenticator answers an `Actor`, which becomes `request.user`; the list of them is the setting
    REST_FRAMEWORK["DEFAULT_AUTHENTICATION_CLASSES"].
    """

    # The rates that count; empty: those of reads for GET, of writes for all else.
    throttle_scope = ""
    # Names of the parameters this address takes; any other is refused, so that no misspelt filter is passed over.
    takes: frozenset[str] = frozenset()

    @property
    def actor(self) -> Actor:
        actor: Actor = actor_of(self.request)
        return actor

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        unknown = sorted(set(request.query_params) - self.takes)
        if unknown:
            raise Invalid(
                "This address does not take all of these parameters.",
                dict.fromkeys(unknown, "There is no such parameter here."),
            )

    def permission_denied(self, request: Request, message: str | None = None, code: str | None = None) -> Any:
        raise NotAuthenticated


class OrgAPIView(ActorAPIView):
    """A view of one organization; its selector or operation enters the tenancy and asks policy."""

    @property
    def slug(self) -> str:
        slug: str = self.kwargs["slug"]
        return slug
