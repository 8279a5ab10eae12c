"""What became of the images of a source: how many were used, what they are like, what failed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from comfyui_cldis.imaging.limits import ENDINGS
from comfyui_cldis.wording import counted, printable

from .survey import MAX_NAMED, Findings
from .zips import MAX_ZIPS

REPORT_VERSION = 5  # raise it when the fields change; cached data sets are then built again


@dataclass(frozen=True)
class DataReport:
    """The outcome of opening a source."""

    source: str
    found: int  # files with an accepted extension, or images asked for; used, skipped, or left
    used: int
    skipped: tuple[tuple[str, str], ...] = ()  # (name, reason)
    num_passing: int = 0  # of the skipped files, those whose reason may pass
    ignored: tuple[tuple[str, int], ...] = ()  # endings of other files ("hidden"), with number
    zips: tuple[str, ...] = ()  # zip files that hold images, among the other files
    image_size: int = 0
    resize: str = "crop"
    findings: Findings | None = None  # of the images used; None when they were not looked at

    def describe(self) -> str:
        """The outcome in a few lines; the skipped files come last, at most ten by name."""
        left = self.found - self.used - len(self.skipped)
        parts = [f"{self.used:,} used"]
        parts += [f"{len(self.skipped):,} skipped"] if self.skipped else []
        parts += [f"{left:,} not asked for"] if left > 0 else []
        sum_of = " + ".join(parts) if len(parts) > 1 else "all used"
        sign = " = " if len(parts) > 1 else ", "
        lines = [f"{printable(self.source)}: {counted(self.found, 'image')} found{sign}{sum_of}"]
        lines += _describe_findings(self.findings, self.image_size) if self.findings else []
        if self.ignored:
            lines.append(
                f"  other files, not looked at: {_listed(self.ignored)} (accepted: "
                f"{', '.join(ENDINGS)}; names that start with a dot are hidden)"
            )
        if self.zips:
            num_zips = dict(self.ignored).get(".zip", 0)
            lines.append(f"  the folder contains {describe_zips(self.zips, num_zips)}")
        if self.skipped:
            lines.append("  skipped:")
        lines += [f"    {name}: {reason}" for name, reason in self.skipped[:MAX_NAMED]]
        if len(self.skipped) > MAX_NAMED:
            lines.append(f"    and {len(self.skipped) - MAX_NAMED:,} more")
        return "\n".join(lines)

    def to_json(self) -> str:
        """All fields as JSON text."""
        facts = {"format": "cldis data report", "version": REPORT_VERSION, **asdict(self)}
        return json.dumps(facts, indent=1)

    @classmethod
    def from_json(cls, text: str) -> DataReport:
        """Reads what `to_json` wrote.

        Raises:
            ValueError: not JSON, another version, or fields of other kinds.
        """
        facts = json.loads(text)
        if not isinstance(facts, dict) or facts.get("version") != REPORT_VERSION:
            raise ValueError(
                f"The data report is not of version {REPORT_VERSION}. Open the data again."
            )
        try:
            return _from_facts(facts)
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"The data report is damaged ({type(error).__name__}: {error}). Open the data "
                "again."
            ) from error


def _describe_findings(findings: Findings, image_size: int) -> list[str]:
    sizes = [f"{width} x {height}" for width, height in (findings.smallest, findings.largest)]
    if sizes[0] == sizes[1]:
        line = f"  size {sizes[0]}"
    else:
        median = f"{findings.median[0]} x {findings.median[1]}"
        line = f"  sizes {sizes[0]} to {sizes[1]}, median {median}"
    if findings.num_enlarged:
        line += f"; {findings.num_enlarged:,} smaller than {image_size} pixels, enlarged"
    lines = [line]
    if findings.num_cropped:
        (largest, name), mean = findings.largest_cut, findings.mean_cut
        lost = f"{100 * mean:.0f} % of their area on average, {100 * largest:.0f} % at most"
        if findings.num_cropped == 1:
            lost = f"{100 * largest:.0f} % of its area"
        lines.append(
            f"  {findings.num_cropped:,} not square: the crop cuts off {lost} ({name}); resize=pad "
            "keeps all"
        )
    lines += [f"  modes: {_listed(findings.modes)}"]
    if findings.num_duplicates:
        lines.append(f"  {_describe_duplicates(findings)}")
    if findings.num_near_constant:
        more = ", ..." if findings.num_near_constant > 1 else ""
        lines.append(
            f"  {findings.num_near_constant:,} of nearly one colour"
            f" ({findings.near_constant[0]}{more})"
        )
    return lines


def _describe_duplicates(findings: Findings) -> str:
    """How many images are equal, and how often they count, with an example."""
    equal = findings.num_duplicates + findings.num_repeated
    most, name = findings.most_repeated
    times = "twice" if most == 2 else f"{most:,} times"
    first, repeated = findings.duplicates[0]
    example = f"({repeated} = {first}{', ...' if equal > 2 else ''})"
    text = f"{equal:,} of those used are"
    if findings.num_repeated == 1:
        return f"{text} one image, pixel by pixel, which counts {times} {example}"
    text += f" only {findings.num_repeated:,} images, pixel by pixel"
    if most == 2:
        return f"{text}, and each of these counts twice {example}"
    return f"{text}; {name} counts most often, {times} {example}"


def describe_zips(names: Sequence[str], num_zips: int) -> str:
    """Such as "2 zip files with images (a.zip, b.zip): unpack them, or give one instead".

    Args:
        names: of those that hold images, at least one.
        num_zips: zip files in the folder; of more than `MAX_ZIPS` only so many were looked into.
    """
    least = "at least " if num_zips > MAX_ZIPS else ""
    shown = ", ".join([*names[:MAX_NAMED], *(["..."] if len(names) > MAX_NAMED else [])])
    remedy = "unpack it, or give it" if len(names) == 1 else "unpack them, or give one"
    return f"{least}{counted(len(names), 'zip file')} with images ({shown}): {remedy} instead"


def _listed(counts: tuple[tuple[str, int], ...]) -> str:
    listed = [f"{count:,} {name or 'without ending'}" for name, count in counts[:MAX_NAMED]]
    return ", ".join([*listed, "..."] if len(counts) > MAX_NAMED else listed)


def _from_facts(facts: dict[str, Any]) -> DataReport:
    found = facts["findings"]
    return DataReport(
        source=str(facts["source"]),
        found=int(facts["found"]),
        used=int(facts["used"]),
        skipped=tuple((str(name), str(reason)) for name, reason in facts["skipped"]),
        num_passing=int(facts["num_passing"]),
        ignored=tuple((str(name), int(count)) for name, count in facts["ignored"]),
        zips=tuple(str(name) for name in facts["zips"]),
        image_size=int(facts["image_size"]),
        resize=str(facts["resize"]),
        findings=None
        if found is None
        else Findings(
            smallest=_size(found["smallest"]),
            median=_size(found["median"]),
            largest=_size(found["largest"]),
            num_enlarged=int(found["num_enlarged"]),
            num_cropped=int(found["num_cropped"]),
            mean_cut=float(found["mean_cut"]),
            largest_cut=(float(found["largest_cut"][0]), str(found["largest_cut"][1])),
            modes=tuple((str(name), int(count)) for name, count in found["modes"]),
            num_duplicates=int(found["num_duplicates"]),
            num_repeated=int(found["num_repeated"]),
            most_repeated=(int(found["most_repeated"][0]), str(found["most_repeated"][1])),
            duplicates=tuple((str(a), str(b)) for a, b in found["duplicates"]),
            num_near_constant=int(found["num_near_constant"]),
            near_constant=tuple(str(name) for name in found["near_constant"]),
            samples=tuple((int(row), str(name)) for row, name in found["samples"]),
        ),
    )


def _size(pair: list[int]) -> tuple[int, int]:
    width, height = pair
    return int(width), int(height)
