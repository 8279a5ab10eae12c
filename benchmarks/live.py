"""How often a second the picture follows a dragged slider, in a browser, and a film of it.

    python -m benchmarks.live --url http://127.0.0.1:8188 [--modern] [--film FILE.webp]
    python -m benchmarks.live --url http://127.0.0.1:8188 --thumbnails

against a running ComfyUI with the pack. The first opens the template edit_image in Chromium, runs
it, drags a slider to and fro with the mouse for some seconds, and counts pictures that were loaded;
with --film it drags slowly through several sliders instead. The second draws the templates'
thumbnails anew. Server and browser share the processor.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import time
from pathlib import Path

from PIL import Image

from tests.e2e.browser import SLIDER_NODE, Page, open_page

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = ROOT / "workflows"
SLIDER = "head turn"
FILMED = (("hair colour", -0.6), ("background", 0.6), ("head turn", 0.3), ("mouth", -0.6))
FRAMES_OF_EACH, FRAME_MS = 12, 90
THUMBNAIL = 640  # pixels of a side
SHOWN = {  # the nodes that fill a thumbnail
    "edit_image": ("CLDIS_EditSliders",),
    "compare_before_and_after": ("SaveImage",),
    "interpolate_and_animate": ("SaveAnimatedWEBP",),
    "train_model": ("CLDIS_Train", "CLDIS_ModelInfo", "CLDIS_Encode"),
    "edit_face_in_large_picture": ("SaveImage",),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--modern", action="store_true", help="Nodes 2.0")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--film", type=Path)
    parser.add_argument("--thumbnails", action="store_true")
    options = parser.parse_args()
    with open_page(options.url, modern=options.modern) as page:
        if options.thumbnails:
            for name in SHOWN:
                thumbnail(page, name)
            return
        page.load(workflow("edit_image", "{}"))
        page.wait(page.sliders)
        page.run()
        page.wait(page.picture)
        if options.film:
            film(page, options.film)
        else:
            measure(page, options.seconds)


def workflow(name: str, edits: str | None = None) -> dict:
    found = json.loads((WORKFLOWS / f"{name}.json").read_text(encoding="utf-8"))
    for node in found["nodes"]:
        if edits is not None and node["type"] == "CLDIS_EditSliders":
            node["widgets_values"] = [edits]
    return found


def measure(page: Page, seconds: float) -> None:
    page.js(
        "(() => {window.loads = []; document.querySelector('.cldis-picture').addEventListener("
        "'load', () => window.loads.push(performance.now()))})()"
    )
    time.sleep(3)  # the page settles
    size = page.picture().size
    print(f"{'Nodes 2.0' if page.modern else 'classic'}, {size[0]} x {size[1]} pixels:")
    x, y, length = page.place_of(SLIDER)
    page.tab.mouse.move(x, y)
    page.tab.mouse.down()
    start, moves = time.monotonic(), 0
    while time.monotonic() - start < seconds:
        angle = (time.monotonic() - start) * 2
        page.tab.mouse.move(x + 0.4 * length * math.sin(angle), y)
        moves += 1
        time.sleep(1 / 60)
    page.tab.mouse.up()
    print_rates(page, seconds, f"driven mouse, {moves / seconds:.0f} movements a second")
    time.sleep(1)
    page.js(
        f"(() => {{const w = {SLIDER_NODE}.widgets.find(w => w.name === 'dir:{SLIDER}'); "
        "window.loads.length = 0; window.moves = 0; const start = performance.now(); "
        "const step = () => {const t = performance.now() - start; "
        f"if (t > {seconds * 1000}) return; w.value = Math.sin(t / 500); w.callback(w.value); "
        "window.moves++; requestAnimationFrame(step)}; step()})()"
    )
    time.sleep(seconds + 0.2)
    moves = page.js("window.moves")
    print_rates(page, seconds, f"a movement for each frame, {moves / seconds:.0f} a second")


def print_rates(page: Page, seconds: float, how: str) -> None:
    times = page.js("window.loads")
    if len(times) < 2:
        raise SystemExit(f"  {how}: the picture did not follow. Is the slider where it was?")
    gaps = sorted(later - earlier for earlier, later in zip(times, times[1:], strict=False))
    print(
        f"  {how}: {len(times) / seconds:.1f} pictures a second, median "
        f"{gaps[len(gaps) // 2]:.0f} ms apart, longest {gaps[-1]:.0f} ms"
    )


def film(page: Page, path: Path) -> None:
    page.js("(() => {window.app.canvas.ds.scale = 1; window.app.canvas.setDirty(true, true)})()")
    time.sleep(3)
    left, top, width, height = page.js(
        f"(() => {{const n = {SLIDER_NODE}, c = window.app.canvas, s = c.ds.scale, "
        "r = c.canvas.getBoundingClientRect(); return [(n.pos[0] + c.ds.offset[0]) * s + r.left, "
        "(n.pos[1] - 30 + c.ds.offset[1]) * s + r.top, n.size[0] * s, (n.size[1] + 30) * s]})()"
    )
    clip = {"x": left - 8, "y": top - 4, "width": width + 16, "height": height + 12}
    frames = []
    for name, share in FILMED:
        x, y, length = page.place_of(name)
        page.tab.mouse.move(x, y)
        page.tab.mouse.down()
        for step in range(FRAMES_OF_EACH):
            done = (1 - math.cos(math.pi * (step + 1) / FRAMES_OF_EACH)) / 2
            page.tab.mouse.move(x + share * length / 2 * done, y)
            time.sleep(0.35)  # until the picture is there
            frames.append(shot(page, clip))
        page.tab.mouse.up()
    path.parent.mkdir(parents=True, exist_ok=True)
    frames[0].save(
        path,
        save_all=True,
        append_images=frames[1:],
        duration=[FRAME_MS] * (len(frames) - 1) + [1500],
        loop=0,
        quality=75,
        method=6,
    )
    print(f"{path}: {len(frames)} frames, {path.stat().st_size / 1e6:.1f} MB")


def thumbnail(page: Page, name: str) -> None:
    page.load(workflow(name))
    if name != "train_model":
        page.run(180)
        time.sleep(3)
    page.js(
        "(([types, x, y, side]) => {const c = window.app.canvas; "
        "const ns = window.app.graph._nodes.filter(n => types.includes(n.comfyClass)); "
        "const left = Math.min(...ns.map(n => n.pos[0])), top = Math.min(...ns.map(n => n.pos[1]"
        " - 30)), right = Math.max(...ns.map(n => n.pos[0] + n.size[0])), "
        "bottom = Math.max(...ns.map(n => n.pos[1] + n.size[1])); "
        "const s = 0.96 * side / Math.max(right - left, bottom - top); c.ds.scale = s; "
        "c.ds.offset = [(x + side / 2) / s - (left + right) / 2, "
        "(y + side / 2) / s - (top + bottom) / 2]; c.setDirty(true, true)})",
        [list(SHOWN[name]), 380, 90, 760],
    )
    time.sleep(1.5)
    image = shot(page, {"x": 380, "y": 90, "width": 760, "height": 760})
    image = image.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    image.save(WORKFLOWS / f"{name}.jpg", quality=88)
    print(f"workflows/{name}.jpg")


def shot(page: Page, clip: dict[str, float]) -> Image.Image:
    return Image.open(io.BytesIO(page.tab.screenshot(clip=clip))).convert("RGB")


if __name__ == "__main__":
    main()
