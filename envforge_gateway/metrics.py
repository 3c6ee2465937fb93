"""Counts for whoever runs the gateway (Prometheus text format)."""

from collections import Counter


class Metrics:
    """One process's counts since it started; nothing in them names a person, a link or a host."""

    def __init__(self) -> None:
        self.requests = 0
        self.answers: Counter[int] = Counter()
        self.refused: Counter[str] = Counter()
        self.upstream_errors: Counter[str] = Counter()
        self.purges = 0
        self.gaps = 0
        self.silences = 0
        self.connections_cut = 0
        self.wakes_asked = 0
        self.streams_begun = 0

    def text(self, gauges: dict[str, float]) -> str:
        """Everything, one figure a line."""
        lines: list[str] = []
        for name in (
            *("requests", "purges", "gaps", "silences", "connections_cut", "wakes_asked", "streams_begun"),
        ):
            lines += [
                f"# TYPE envforge_gateway_{name}_total counter",
                f"envforge_gateway_{name}_total {getattr(self, name)}",
            ]
        labelled: tuple[tuple[str, str, Counter[int] | Counter[str]], ...] = (
            ("answers", "status", self.answers),
            ("refused", "word", self.refused),
            ("upstream_errors", "word", self.upstream_errors),
        )
        for name, label, counter in labelled:
            lines.append(f"# TYPE envforge_gateway_{name}_total counter")
            lines += [
                f'envforge_gateway_{name}_total{{{label}="{key}"}} {count}'
                for key, count in sorted(counter.items(), key=lambda one: str(one[0]))
            ]
        for name, value in gauges.items():
            lines += [f"# TYPE envforge_gateway_{name} gauge", f"envforge_gateway_{name} {value:g}"]
        return "\n".join(lines) + "\n"
