"""When a workspace was awake lately, as a picture with the same facts in words."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from workspaces.console.words import short
from workspaces.selectors.one import OneWorkspace, WakeView

WIDTH, HEIGHT, BAR_TOP, BAR_HEIGHT = 530, 46, 14, 15
# Narrower bars cannot be seen; closer labels run into each other.
NARROWEST, LABEL_ROOM = 3.0, 62.0


@dataclass(frozen=True, slots=True)
class Bar:
    """A wake from `x`, `width` wide; `label` is empty where there is no room for it."""

    x: float
    width: float
    open: bool
    label: str
    words: str


@dataclass(frozen=True, slots=True)
class Picture:
    """Bars on a line of `WIDTH`; `marks` are hours, by place and text."""

    bars: list[Bar]
    marks: list[tuple[float, str]]
    width: int = WIDTH
    height: int = HEIGHT
    bar_top: int = BAR_TOP
    bar_height: int = BAR_HEIGHT


def picture(seen: OneWorkspace) -> Picture:
    """The last hours of a workspace."""
    since, until = seen.drawn_since, seen.asked_at
    drawn = [wake for wake in reversed(seen.wakes) if _end(wake, until) > since and wake.ready_at]
    bars: list[Bar] = []
    free_from = 0.0
    for wake in drawn:
        assert wake.ready_at is not None  # noqa: S101 - chosen so just before; for the types
        begin = min(_place(max(wake.ready_at, since), since, until), WIDTH - NARROWEST)
        width = max(_place(_end(wake, until), since, until) - begin, NARROWEST)
        label = short(wake.cause) if begin >= free_from and begin <= WIDTH - LABEL_ROOM else ""
        free_from = begin + LABEL_ROOM if label else free_from
        ended = f"until {wake.ended_at:%H:%M}" if wake.ended_at else "and still is"
        words = f"awake from {wake.ready_at:%H:%M} {ended}, by {short(wake.cause)}"
        bars.append(Bar(round(begin, 1), round(width, 1), wake.ended_at is None, label, words))
    middle = since + (until - since) / 2
    marks = [(0.0, f"{since:%H:%M}"), (WIDTH / 2, f"{middle:%H:%M}"), (float(WIDTH), f"now {until:%H:%M}")]
    return Picture(bars, marks)


def _end(wake: WakeView, until: datetime) -> datetime:
    return wake.ended_at or until


def _place(at: datetime, since: datetime, until: datetime) -> float:
    whole: timedelta = until - since
    return (at - since) / whole * WIDTH
