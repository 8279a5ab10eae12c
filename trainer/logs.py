"""What a run tells: a progress bar on stderr and one line of JSON per interval in stats.jsonl."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any

from tqdm import tqdm

STATS_NAME = "stats.jsonl"


class RunLog:
    """Progress bar and statistics file of a run; a context manager."""

    def __init__(self, folder: Path, first_step: int, num_steps: int, batch_size: int) -> None:
        self.path = folder / STATS_NAME
        self.batch_size = batch_size
        self.last_step = first_step
        _drop_records_after(self.path, first_step)
        self.bar = tqdm(
            total=num_steps * batch_size,
            initial=first_step * batch_size,
            unit="img",
            dynamic_ncols=True,
            smoothing=0.05,
        )

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bar.close()

    def write(self, record: dict[str, Any]) -> None:
        """Append a record and move the bar."""
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        self.bar.update((record["step"] - self.last_step) * self.batch_size)
        self.last_step = record["step"]
        self.bar.set_postfix_str(
            f"diff {record['diffusion']:.3f} KL {record['kl']:.1f} "
            f"C {record['capacity']:.1f} I {record['information']:.1f}"
        )


def _drop_records_after(path: Path, step: int) -> None:
    """Cut off what an interrupted run logged beyond the state it resumes from."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue  # the line that was being written when the run was killed
        if record["step"] <= step:
            kept.append(line)
    path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
