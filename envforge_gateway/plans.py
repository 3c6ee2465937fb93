"""What many sessions have in common: services, surfaces, routes, and where the services are (THREATS G2, G3)."""

from collections.abc import Iterable
from typing import TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

from envforge_gateway import paths
from envforge_gateway.errors import BadRequest
from envforge_gateway.upstream import Pool, Pools
from envforge_protocol.gateway.base import Surface
from envforge_protocol.gateway.decisions import Asleep, Awake, Decision, Routes

ALL = frozenset(Surface)
PATHS_REMEMBERED = 512
LONGEST_REMEMBERED = 256
T = TypeVar("T")


class Plan:
    """One service as one set of surfaces sees it, in one epoch of its runtime. Shared, and never changed."""

    __slots__ = (
        *(
            "__weakref__",
            "_forwards",
            "_known",
            "_pools",
            "_surfaces",
            "_websockets",
            "allowed",
            "epoch",
            "estimate_s",
        ),
        *("has_rules", "organization_id", "pool", "service", "waking", "workspace", "workspace_id"),
    )

    def __init__(self, decision: Decision, pools: Pools) -> None:
        self.service = decision.service
        self.workspace = decision.workspace
        self.workspace_id: UUID = decision.workspace_id
        self.organization_id: UUID = decision.organization_id
        self.allowed = decision.surfaces
        runtime = decision.runtime
        self.epoch: int | None = runtime.epoch if isinstance(runtime, Awake) else None
        self.waking = isinstance(runtime, Asleep) and runtime.state == "waking"
        self.estimate_s = runtime.estimate_s if isinstance(runtime, Asleep) else None
        self._pools: dict[str, Pool] = {}
        if isinstance(runtime, Awake):
            for one in runtime.ingress:
                pool = pools.pool(decision.workspace_id, runtime.epoch, one.address, one.port)
                if pool is not None:
                    self._pools[one.service] = pool
        self.pool = self._pools.get(decision.service)
        routes = decision.routes
        self._forwards = _longest_first((one.prefix.encode(), one.service) for one in routes.forward)
        self._surfaces = _longest_first(
            [
                *((one.encode(), Surface.API) for one in routes.api),
                *((one.encode(), Surface.ASSETS) for one in routes.assets),
            ]
        )
        self._websockets = _longest_first((one.encode(), Surface.WEBSOCKETS) for one in routes.websockets)
        # What was decided about a path; the same for everybody who shares the plan.
        self._known: dict[bytes, tuple[bytes, bool, Pool | None]] = {}
        self.has_rules = (
            bool(self._forwards) or self.allowed != ALL or routes.websockets != Routes().websockets
        )

    @property
    def is_withdrawn(self) -> bool:
        """Whether what it leads to was given up: after a gap the same routes are dialled anew."""
        return any(pool.withdrawn for pool in self._pools.values())

    def route(self, path: bytes, *, is_websocket: bool) -> tuple[bytes, bool, Pool | None]:
        """The one reading of a path that is both matched and forwarded; whether the surfaces have it; where it is answered.

        Raises:
            BadRequest: there is more than one reading, and it matters here.
        """
        if not self.has_rules:
            return path, True, self.pool
        key = b"ws:" + path if is_websocket else path
        known = self._known.get(key)
        if known is None:
            known = self._route(path, is_websocket=is_websocket)
            if len(self._known) >= PATHS_REMEMBERED:
                self._known.clear()
            if len(path) <= LONGEST_REMEMBERED:
                self._known[key] = known
        return known

    def _route(self, path: bytes, *, is_websocket: bool) -> tuple[bytes, bool, Pool | None]:
        if paths.is_doubtful(path):
            raise BadRequest(400, "path")
        path = paths.collapsed(path)
        return path, self.admits(path, is_websocket=is_websocket), self.pool_for(path)

    def admits(self, path: bytes, *, is_websocket: bool) -> bool:
        """Whether the session's surfaces have this path; services that ignore case must not widen that."""
        seen = paths.decoded(path)
        if is_websocket:
            return Surface.WEBSOCKETS in self.allowed and _longest(self._websockets, seen) is not None
        exact = _longest(self._surfaces, seen) or Surface.WEB
        folded = _longest(self._surfaces, seen.lower(), fold=True) or Surface.WEB
        return exact in self.allowed and folded in self.allowed

    def pool_for(self, path: bytes) -> Pool | None:
        """Where the path is answered; None where that service cannot be reached."""
        if self._forwards:
            service = _longest(self._forwards, paths.decoded(path))
            if service is not None:
                return self._pools.get(service)
        return self.pool


class Plans:
    """Plans by what they say, so that a hundred thousand sessions of few links are few plans."""

    def __init__(self, pools: Pools) -> None:
        self._pools = pools
        self._known: WeakValueDictionary[str, Plan] = WeakValueDictionary()

    def plan(self, decision: Decision) -> Plan:
        said = decision.model_dump_json(exclude={"session_id", "link_id", "person_id", "expires_at"})
        plan = self._known.get(said)
        if plan is None or plan.is_withdrawn:
            plan = self._known[said] = Plan(decision, self._pools)
        return plan


def _longest_first(given: Iterable[tuple[bytes, T]]) -> tuple[tuple[bytes, bytes, T], ...]:
    ordered = sorted(given, key=lambda one: len(one[0]), reverse=True)
    return tuple((prefix, prefix.rstrip(b"/") + b"/", said) for prefix, said in ordered)


def _longest(rules: tuple[tuple[bytes, bytes, T], ...], path: bytes, *, fold: bool = False) -> T | None:
    for prefix, below, said in rules:
        if fold:
            prefix, below = prefix.lower(), below.lower()  # noqa: PLW2901 - the same prefix, folded
        if path == prefix or path.startswith(below):
            return said
    return None
