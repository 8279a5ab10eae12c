"""What became of the pictures of a source: how many were used, and why others were not."""

from __future__ import annotations

from dataclasses import dataclass

_MAX_NAMED = 10


@dataclass(frozen=True)
class DataReport:
    """The outcome of opening a source."""

    source: str
    found: int  # files with an accepted extension, or heads asked for
    used: int
    skipped: tuple[tuple[str, str], ...] = ()  # (name, reason)

    def describe(self) -> str:
        """Tells it in a few lines, naming at most ten skipped files."""
        lines = [f"{self.source}: {self.used:,} of {self.found:,} pictures used"]
        if self.skipped:
            lines[0] += f", {len(self.skipped):,} skipped:"
        lines += [f"  {name}: {reason}" for name, reason in self.skipped[:_MAX_NAMED]]
        if len(self.skipped) > _MAX_NAMED:
            lines.append(f"  and {len(self.skipped) - _MAX_NAMED:,} more")
        return "\n".join(lines)
