"""The result of content tracking as text."""

from __future__ import annotations

from .result import Tracking

PARTS = (
    "purity",
    "compactness",
    "distinctness",
    "coverage",
    "consistency",
    "persistence",
    "monotonicity",
)


def tracking_table(result: Tracking) -> str:
    """Markdown: the score with its parts, then a line for each direction, purest first."""
    cts = "unknown (coverage is not measured)" if result.cts is None else _cell(result.cts)
    lines = [
        f"Content-tracking score {cts} (version {result.version}), {result.num_active} of "
        f"{len(result.directions)} directions active, seed {result.settings['seed']}.",
        "",
        "| part | value |",
        "|---|---|",
        *(f"| {part} | {_cell(getattr(result, part))} |" for part in PARTS),
        "",
        "| direction | step (sd) | change | purity | most like | monotone | mostly |",
        "|---" * 7 + "|",
    ]
    rows = sorted(result.directions, key=lambda row: (not row.is_active, -(row.purity or 0.0)))
    for row in rows:
        if not row.is_active:
            lines.append(f"| {row.name} | {row.step:.2f} | {row.change:.1f} | not active | | | |")
            continue
        nearest = "" if row.nearest is None else f"{row.nearest} ({_cell(row.similarity)})"
        mostly = max(row.channels, key=lambda channel: row.channels[channel])
        lines.append(
            f"| {row.name} | {row.step:.2f} | {row.change:.1f} | {_cell(row.purity)} | {nearest} "
            f"| {_cell(row.monotonicity)} | {mostly} {row.channels[mostly]:.0%} |"
        )
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"
