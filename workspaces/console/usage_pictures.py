"""Awake hours per day and the windows of one day, as pictures; the tables beside them say the same."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from math import ceil
from uuid import UUID

from workspaces.console.words import short
from workspaces.selectors.usage import DayUsage
from workspaces.selectors.windows import WindowView

HOUR_S = 3600
# The chart: its measures in the units of its viewBox.
WIDTH, LEFT, TOP, PLOT, HEIGHT = 936, 40, 12, 132, 168
STEPS_H = (1, 2, 4, 6, 12, 24, 48, 120, 240, 480, 1200, 2400)
MOST_LINES = 4
# The day: a line for each workspace.
LANE, LANE_BAR, LANE_LEFT, LANE_TOP = 26, 14, 180, 20
MOST_LANES = 12
LABEL_ROOM = 70
LONGEST_NAME = 26


@dataclass(frozen=True, slots=True)
class DayBar:
    """A day's bar from `y` down, `height` high, the disputed part of it on top."""

    day: date
    x: float
    width: float
    y: float
    height: float
    disputed: float
    label: str
    chosen: bool
    words: str

    @property
    def middle(self) -> float:
        return round(self.x + self.width / 2, 1)


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars, and lines at round numbers of hours by their height and words."""

    bars: list[DayBar]
    lines: list[tuple[float, str]]
    days: int
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    floor: float = TOP + PLOT
    label_y: float = TOP + PLOT + 16


@dataclass(frozen=True, slots=True)
class LaneBar:
    x: float
    width: float
    open: bool
    label: str
    words: str


@dataclass(frozen=True, slots=True)
class Lane:
    """A workspace's wakes on the day."""

    name: str
    y: int
    bars: list[LaneBar]


@dataclass(frozen=True, slots=True)
class Lanes:
    """The day from midnight to midnight (UTC); `marks` are hours by place."""

    lanes: list[Lane]
    marks: list[tuple[float, str]]
    hidden: int
    height: int
    width: int = WIDTH
    left: int = LANE_LEFT
    bar: int = LANE_BAR


def chart(days: list[DayUsage], in_month: int, first: date, chosen: date | None) -> Chart:
    """A month's days; those to come are empty places."""
    most_h = max((one.part.seconds for one in days), default=0) / HOUR_S
    step = next((one for one in STEPS_H if one * MOST_LINES >= most_h), STEPS_H[-1])
    top_h = max(step, ceil(most_h / step) * step)
    scale = PLOT / (top_h * HOUR_S)
    room = (WIDTH - LEFT) / in_month
    known = {one.day: one for one in days}
    bars = []
    for number in range(in_month):
        day = first + timedelta(days=number)
        found = known.get(day)
        seconds = found.part.seconds if found else 0
        height = round(max(seconds * scale, 1.5 if seconds else 0), 1)
        bars.append(
            DayBar(
                day,
                round(LEFT + number * room + room * 0.15, 1),
                round(room * 0.7, 1),
                round(TOP + PLOT - height, 1),
                height,
                round(found.part.disputed_s * scale, 1) if found else 0.0,
                str(day.day),
                day == chosen,
                f"{day.day} {day:%B}: {hours(seconds)} h awake",
            )
        )
    lines = [(round(TOP + PLOT - at * HOUR_S * scale, 1), f"{at} h") for at in range(0, int(top_h) + 1, step)]
    return Chart(bars, lines, in_month)


def lanes(windows: Iterable[WindowView], day: date, now: datetime) -> Lanes:
    """Who was awake when, of the windows of one day; workspaces in the order in which they began."""
    begins = datetime.combine(day, time.min, UTC)
    ends = begins + timedelta(days=1)
    by: dict[UUID, list[WindowView]] = {}
    for window in sorted(windows, key=lambda one: (one.opened_at, one.id)):
        by.setdefault(window.workspace_id, []).append(window)
    drawn = []
    for number, of in enumerate(list(by.values())[:MOST_LANES]):
        bars: list[LaneBar] = []
        free_from = 0.0
        for one in of:
            until = one.closed_at or now
            x = _place(max(one.opened_at, begins), begins)
            width = max(_place(min(until, ends), begins) - x, 2.0)
            label = short(one.cause) if x >= free_from and width >= LABEL_ROOM else ""
            free_from = x + LABEL_ROOM if label else free_from
            ended = f"until {one.closed_at:%H:%M}" if one.closed_at else "and still is"
            words = f"{one.workspace} awake from {one.opened_at:%H:%M} {ended}, by {short(one.cause)}"
            bars.append(LaneBar(round(x, 1), round(width, 1), one.closed_at is None, label, words))
        name = of[0].workspace
        shown = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
        drawn.append(Lane(shown, LANE_TOP + number * LANE, bars))
    marks = [(_place(begins + timedelta(hours=hour), begins), f"{hour:02}:00") for hour in range(0, 25, 6)]
    return Lanes(drawn, marks, max(0, len(by) - MOST_LANES), LANE_TOP + len(drawn) * LANE)


def hours(seconds: int) -> str:
    """Hours to a tenth, as axes and tables have them; what is there is never shown as nothing."""
    if 0 < seconds < HOUR_S // 20:
        return "< 0.1"
    return f"{seconds / HOUR_S:,.1f}"


def _place(at: datetime, begins: datetime) -> float:
    return round(LANE_LEFT + (at - begins) / timedelta(days=1) * (WIDTH - LANE_LEFT), 1)
