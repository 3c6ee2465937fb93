"""Measured figures as a table in plain text, each beside its goal."""

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Figures:
    """Rows of a table; `finish` prints it and answers the exit code, 1 when a goal is missed."""

    title: str
    rows: list[tuple[str, str, str, str]] = field(default_factory=list)
    missed: int = 0

    def tell(self, what: str, figure: str) -> None:
        """A figure that has no goal of its own."""
        self.rows.append((what, figure, "", ""))

    def at_most(self, what: str, figure: float, goal: float, unit: str = "") -> None:
        """A figure that must not be above its goal."""
        met = figure <= goal
        self.missed += not met
        self.rows.append((what, f"{figure:.2f}{unit}", f"<= {goal:g}{unit}", "met" if met else "MISSED"))

    def finish(self) -> int:
        head = ("", "measured", "goal", "")
        widths = [max(len(row[column]) for row in (head, *self.rows)) for column in range(4)]
        print(f"\n{self.title}")
        for what, figure, goal, verdict in (head, *self.rows):
            print(f"  {what:<{widths[0]}}  {figure:>{widths[1]}}  {goal:>{widths[2]}}  {verdict}".rstrip())
        if quick():
            print("\n  a quick run: its figures say nothing", flush=True)
            return 0
        print(f"\n  {self.missed} of the goals missed" if self.missed else "\n  all goals met", flush=True)
        return 1 if self.missed else 0


def quick() -> bool:
    """Whether a smoke run is asked for: the same steps over little data; its figures say nothing."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="the same steps over little data, in seconds")
    return bool(parser.parse_args().quick)


def p50(seconds: Sequence[float]) -> float:
    return statistics.median(seconds)


def p95(seconds: Sequence[float]) -> float:
    return statistics.quantiles(seconds, n=20)[-1]


def ms(seconds: Sequence[float]) -> str:
    """Median and 95th percentile, in milliseconds."""
    return f"{p50(seconds) * 1000:.2f} / {p95(seconds) * 1000:.2f} ms"
