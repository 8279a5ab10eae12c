"""The pieces of the report page: HTML from plain values, all text escaped, images embedded."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from comfyui_cldis.checkpoint.quality_text import describe_quality
from comfyui_cldis.checkpoint.summary import direction_notes, ranges_in_words
from comfyui_cldis.directions.naming import describe_ends
from comfyui_cldis.editing.described import Described
from comfyui_cldis.editing.verdict import why_no_sliders

from .samples import latent_of

if TYPE_CHECKING:
    from .diagnosis import Finding
    from .plots import Curve

IMAGES_BYTES = 3_000_000  # of all images together, as text; the curves are small
JPEG_QUALITIES = (92, 85, 75, 60)
STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #f6f5f2; color: #26262a;
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 36px 24px 64px; }
h1 { font-size: 27px; line-height: 1.25; margin: 0 0 4px; font-weight: 650; }
h2 { font-size: 18px; margin: 40px 0 12px; font-weight: 650; }
h3 { font-size: 15px; margin: 0 0 8px; font-weight: 650; }
p { margin: 0 0 10px; max-width: 74ch; }
.faint, figcaption, .small, dt { color: #706f6c; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 10px;
  margin: 24px 0 0; }
.facts div, .card, li.finding { background: #fff; border: 1px solid #e4e2dc; border-radius: 8px; }
.facts div { padding: 11px 14px; }
dl, dd, ul { margin: 0; padding: 0; }
dt { font-size: 12.5px; }
dd { font-size: 19px; line-height: 1.4; font-weight: 600; }
dd small { display: block; font-size: 12.5px; line-height: 1.4; font-weight: 400; color: #706f6c; }
li.finding { list-style: none; padding: 11px 14px 11px 16px; margin: 0 0 8px;
  border-left: 4px solid #8aa4bd; }
li.warning { border-left-color: #d9822b; }
li.good { border-left-color: #3a8f5c; }
li.finding b { margin-right: 6px; }
.curves { display: grid; grid-template-columns: 1fr 1fr; gap: 14px; }
.card { margin: 0; padding: 14px 16px; min-width: 0; }
.wide { grid-column: 1 / -1; }
.card img { display: block; width: 100%; height: auto; }
.images .card { margin-bottom: 14px; }
.images img { width: auto; max-width: 100%; margin: 0 auto; }
figcaption, .small { font-size: 13px; line-height: 1.45; margin: 8px 0 0; max-width: 88ch; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { text-align: left; padding: 6px 12px 6px 0; border-bottom: 1px solid #e4e2dc; }
th { font-weight: 600; color: #706f6c; font-size: 12.5px; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
details { margin-top: 12px; }
summary { cursor: pointer; }
pre { overflow-x: auto; font-size: 12.5px; line-height: 1.45; }
code { font-size: 13px; overflow-wrap: anywhere; }
@media (max-width: 760px) { .curves { grid-template-columns: 1fr; } }
@media print { body { background: #fff; } .card, li.finding { break-inside: avoid; } }
"""
IMAGE_CAPTIONS = {
    "reconstruction": "The same images four times. Random noise shows what the code holds; "
    "inverted noise brings nearly every image back whatever the code holds, at times with clouds "
    "when the training was short; the co-pilot is always blurred.",
    "traversals": "Each row moves one latent, one number of the code, of two of the images "
    "above; all else, the noise too, stays. The two are chosen: of those that the model draws well "
    "and the latents change most, the most changed one and the one whose colours differ most from "
    "it. Strongest latents on top. The row of a slider runs the way that the slider does.",
}
WORDS = (
    ("co-pilot", "a small network that learns which few numbers describe an image best"),
    ("KL", "how much the co-pilot stores about an image, in nats (1 nat = 1.44 bits)"),
    ("C", "how much it is allowed to store; it grows during the training"),
    ("code in use", "the share of what is stored in numbers that the decoder does not ignore"),
    (
        "dimension",
        "one number of the code; used ones, those that store more than 0.1 nat, can become sliders",
    ),
    ("random noise", "images drawn from the code alone, with fresh noise: the honest test"),
    (
        "inverted noise",
        "images drawn with the noise that belongs to the original. It holds what the code does "
        "not, so they are good with any code; it keeps the details in an edit",
    ),
)


def render_document(title: str, sections: Sequence[str]) -> str:
    """The whole page from its sections, empty ones left out."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in sections if part)
        + "\n</main>\n</body>\n</html>\n"
    )


def render_title(title: str, subtitle: str) -> str:
    """Heading with a fainter line under it."""
    line = f'<p class="faint">{escape(subtitle)}</p>' if subtitle else ""
    return f"<h1>{escape(title)}</h1>{line}"


def render_facts(facts: Sequence[tuple[str, str, str]]) -> str:
    """The facts as a row of cards."""
    cards = [
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(small)}</small></dd></div>"
        for name, value, small in facts
    ]
    return f'<dl class="facts">{"".join(cards)}</dl>' if cards else ""


def render_findings(findings: Sequence[Finding]) -> str:
    """The findings as a list; a sentence when there are none."""
    items = [
        f'<li class="finding {escape(item.severity)}"><b>{escape(item.severity.capitalize())}.</b>'
        f"{escape(item.text)}</li>"
        for item in findings
    ]
    if not any(item.severity == "warning" for item in findings):
        items.insert(
            0, '<li class="finding good"><b>No warnings.</b>The records show no fault.</li>'
        )
    return f"<h2>Findings</h2><ul>{''.join(items)}</ul>"


def render_words(*, has_capacity: bool = True, is_entropy: bool = False) -> str:
    """What the words on the page mean.

    Args:
        has_capacity: whether a capacity plays a part in the run.
        is_entropy: whether what is called KL is an entropy, as of objective `qlae`.
    """
    words = dict(WORDS)
    if not has_capacity:
        del words["C"]
    if is_entropy:
        words["KL"] = (
            "here the entropy of the co-pilot's code over a batch, in nats (1 nat = 1.44 bits); "
            "this objective has no KL"
        )
    rows = "".join(
        f"<tr><td><b>{escape(word)}</b></td><td>{escape(text)}</td></tr>"
        for word, text in words.items()
    )
    return f'<h2>Words</h2><div class="card"><table>{rows}</table></div>'


def render_details(config: Mapping[str, Any], model: Described | None) -> str:
    """Command, data card and configuration, folded."""
    parts = []
    if model is not None:
        facts = model.facts
        if facts.training.command:
            parts.append(f"<p>Command: <code>{escape(facts.training.command)}</code></p>")
        figures = describe_quality(facts.quality, model.directions)
        if figures:
            text = ". ".join(f"{name[:1].upper()}{name[1:]}: {value}" for name, value in figures)
            parts.append(f"<p>{escape(text)}.</p>")
        for name, value in (("Data", facts.data_card), ("Licence", facts.licence)):
            if value:
                parts.append(f"<p>{name}: {escape(value)}</p>")
    if config:
        shown = dict(config)
        if "data" in shown:  # the page is made to be shown around; folders need not be
            shown["data"] = Path(str(shown["data"])).name
        text = escape(json.dumps(shown, indent=2, ensure_ascii=False))
        parts.append(f"<details><summary>Configuration</summary><pre>{text}</pre></details>")
    return f'<h2>Details</h2><div class="card">{"".join(parts)}</div>' if parts else ""


def render_directions(model: Described | None) -> str:
    """One line per direction: name, ends, range, effect, and what speaks against it as a slider.

    They are called sliders only where they are of use.
    """
    if model is None or not model.directions:
        return ""
    notes = direction_notes(model.directions)
    rows = []
    for each in model.directions:
        share, moved = each.quality.monotone, latent_of(each.vector)
        ends = describe_ends(each.negative_label, each.positive_label)
        cells = [
            f"{each.minimum:+.2f} to {each.maximum:+.2f}",
            f"{each.effect:.3f}",
            f"{100 * share:.0f} %" if share is not None else "not measured",
        ]
        rows.append(
            f"<tr><td>{escape(each.name)}</td><td>{'' if moved is None else moved.axis}</td>"
            f"<td>{escape(ends)}</td>"
            + "".join(f'<td class="number">{escape(cell)}</td>' for cell in cells)
            + f"<td>{escape(notes[each.name])}</td></tr>"
        )
    verdict, title, warning = why_no_sliders(model), "Sliders", ""
    if verdict is not None:
        title = "Directions, no sliders yet"
        fact = verdict.fact[:1].upper() + verdict.fact[1:]
        text = f"{fact}. The directions are listed to be looked at, not to edit with."
        warning = f"<p>{escape(text)}</p>"
    return (
        f'<h2>{title}</h2><div class="card">{warning}<table><thead><tr><th>name</th>'
        '<th>latent</th><th>ends</th><th class="number">range</th>'
        '<th class="number">effect</th><th class="number">monotone</th>'
        f"<th>weakness</th></tr></thead><tbody>{''.join(rows)}</tbody></table>"
        '<p class="small">Latent: its row in the traversals. '
        f"Range: {ranges_in_words(model.directions)}; at its ends outlines can fray. Effect: "
        "mean change of a pixel from -1 to +1 standard deviation, on a "
        "scale of 0 to 2. Monotone: share of the images measured on, on which the change grows "
        "along the whole range. Weakness: below a quarter of the strongest effect, or not "
        "monotone on more than a tenth of the images. Names are a first guess.</p></div>"
    )


def render_curves(curves: Sequence[Curve]) -> str:
    """The curves as figures, wide ones over both columns."""
    figures = []
    for curve in curves:
        wide = " wide" if curve.is_wide else ""
        figures.append(
            f'<figure class="card{wide}"><h3>{escape(curve.title)}</h3>'
            f'<img alt="{escape(curve.title)}" src="{data_address(curve.png, "png")}">'
            f"<figcaption>{escape(curve.caption)}</figcaption></figure>"
        )
    return f'<h2>Curves</h2><div class="curves">{"".join(figures)}</div>' if figures else ""


def render_images(images: Sequence[tuple[str, Image.Image]]) -> str:
    """The images under each other, compressed until they fit the page's size."""
    figures = []
    for name, image in images:
        address = encode_image(image, IMAGES_BYTES // len(images))
        title = name[:1].upper() + name[1:]
        text = IMAGE_CAPTIONS.get(name, "")
        caption = f"<figcaption>{escape(text)}</figcaption>" if text else ""
        figures.append(
            f'<figure class="card"><h3>{escape(title)}</h3><img alt="{escape(title)}" '
            f'width="{image.width}" height="{image.height}" src="{address}">{caption}</figure>'
        )
    return f'<h2>Images</h2><div class="images">{"".join(figures)}</div>' if figures else ""


def encode_image(image: Image.Image, max_bytes: int) -> str:
    """The image as a data address of at most `max_bytes` characters.

    PNG when it fits, else JPEG at falling quality, else halved in size until it does.
    """
    image = image.convert("RGB")
    attempts: list[dict[str, Any]] = [{"format": "png"}]
    attempts += [{"format": "jpeg", "quality": quality} for quality in JPEG_QUALITIES]
    while True:
        for options in attempts:
            buffer = io.BytesIO()
            image.save(buffer, **options)
            address = data_address(buffer.getvalue(), options["format"])
            if len(address) <= max_bytes or image.size == (1, 1):
                return address
        image = image.resize((max(1, image.width // 2), max(1, image.height // 2)))


def data_address(content: bytes, kind: str) -> str:
    """An address that holds the image itself."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
