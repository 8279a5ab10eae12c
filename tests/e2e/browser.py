"""ComfyUI's page in Debian's Chromium, and the slider node in it as a person uses it."""

from __future__ import annotations

import base64
import io
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from PIL import Image

CHROMIUM = (os.environ.get("CHROMIUM_PATH", ""), "chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
SIZE = {"width": 1700, "height": 950}
START_SEC, RUN_SEC = 120, 180
SLIDER_NODE = (
    "window.app.graph._nodes.concat(...window.app.graph._nodes.filter(n => n.subgraph)"
    ".map(n => n.subgraph._nodes ?? n.subgraph.nodes)).find(n => n.comfyClass === "
    "'CLDIS_EditSliders')"
)


@contextmanager
def open_page(url: str, *, modern: bool) -> Iterator[Page]:
    """The page of a server; `modern` draws with Nodes 2.0. Skips where there is no browser."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, filter(None, CHROMIUM))), None)
    if path is None:
        pytest.skip("there is no Chromium; install one, or set CHROMIUM_PATH")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            page = Page(browser.new_page(viewport=SIZE), url, modern)
            page.start()
            yield page
        finally:
            browser.close()


class Page:
    """One tab.

    Attributes:
        errors: uncaught errors of our scripts, and lines of the console that name them.
    """

    def __init__(self, tab: Any, url: str, modern: bool) -> None:
        self.tab, self.url, self.modern = tab, url, modern
        self.errors: list[str] = []
        tab.on("pageerror", lambda error: self._note_error(error.stack or str(error)))
        tab.on("console", self._note)

    def _note_error(self, stack: str) -> None:
        if "/extensions/odd-name" in stack:  # ours: the frontends have errors of their own
            self.errors.append(stack)

    def _note(self, message: Any) -> None:
        ours = "CL-Dis" in message.text or "/extensions/odd-name" in str(message.location)
        if message.type in ("error", "warning") and ours:
            self.errors.append(message.text)

    def start(self) -> None:
        """Opens the page and waits until ComfyUI is ready in it."""
        self.tab.goto(self.url)
        self.wait(lambda: self.js("!!window.app?.graph?._nodes"), START_SEC)
        time.sleep(2)
        setting = "window.app.ui.settings.setSettingValue"
        self.js(f"{setting}('Comfy.VueNodes.Enabled', {str(self.modern).lower()})")
        self.js(f"{setting}('Comfy.TutorialCompleted', true)")
        time.sleep(1)
        self.tab.keyboard.press("Escape")

    def js(self, expression: str, argument: Any = None) -> Any:
        """The value of an expression, or what a function makes of `argument`."""
        if argument is not None:
            return self.tab.evaluate(expression, argument)
        return self.tab.evaluate(f"() => {expression}")

    def wait(self, is_true: Callable[[], Any], seconds: float = 45, what: str = "") -> Any:
        end, fault = time.monotonic() + seconds, ""
        while time.monotonic() < end:
            try:
                if found := is_true():
                    return found
            except Exception as error:  # the page is being made
                fault = str(error)
            time.sleep(0.1)
        raise AssertionError(f"not within {seconds} s: {what or is_true} {fault} {self.errors}")

    def open_template(self, name: str) -> None:
        """As a person does: the button, our heading, the picture with the name."""
        self.tab.keyboard.press("Escape")
        heading = self.tab.get_by_text("odd-name-1.2", exact=True).first
        time.sleep(1)
        if not heading.is_visible():  # older frontends show it at the first start by themselves
            self.tab.get_by_text("Templates", exact=True).first.click()
        heading.scroll_into_view_if_needed()
        heading.click()
        self.tab.get_by_text(name, exact=True).first.click()
        self.wait(lambda: self.js("window.app.graph._nodes.length > 3"), what="the template opens")
        self.look_at_all()

    def load(self, workflow: Any) -> None:
        self.js("(w) => window.app.loadGraphData(w)", workflow)
        time.sleep(1)
        self.look_at_all()

    def look_at_all(self) -> None:
        self.js(
            "(() => {const c = window.app.canvas; c.ds.scale = 0.8; c.ds.offset = [70, 70]; "
            "c.setDirty(true, true)})()"
        )
        time.sleep(0.5)

    def run(self, seconds: float = RUN_SEC) -> str:
        """Presses Run and waits until it has ended; gives its id."""
        self.js(
            "(() => {window.ended = []; for (const type of ['execution_success', 'execution_error',"
            "'execution_interrupted']) window.app.api.addEventListener(type, ({detail}) => "
            "window.ended.push([type, detail.prompt_id]), {once: true})})()"
        )
        button = self.tab.get_by_test_id("queue-button")
        if button.count():
            button.first.click()
        else:
            self.js("(async () => {await window.app.queuePrompt(0)})()")
        ended = self.wait(lambda: self.js("window.ended[0]"), seconds, "the run ends")
        assert ended[0] == "execution_success", ended
        return ended[1]

    def sliders(self) -> list[str]:
        """Names of the widgets that are sliders."""
        return self.js(
            f"{SLIDER_NODE}?.widgets.map(w => w.name).filter(n => n.startsWith('dir:')) ?? []"
        )

    def amount(self, name: str) -> float:
        return self.js(f"{SLIDER_NODE}.widgets.find(w => w.name === 'dir:{name}').value")

    def edits(self) -> str:
        return self.js(f"{SLIDER_NODE}.widgets.find(w => w.name === 'edits').value")

    def status(self) -> str:
        return self.tab.locator(".cldis-status").first.text_content() or ""

    def panel(self) -> str:
        """All text that stands above the sliders."""
        return self.tab.locator(".cldis-status").first.locator("xpath=..").text_content() or ""

    def picture(self) -> Image.Image | None:
        """What the slider node shows."""
        data = self.js(
            "(() => {const i = document.querySelector('.cldis-picture'); if (!i?.naturalWidth) "
            "return null; const c = document.createElement('canvas'); c.width = i.naturalWidth; "
            "c.height = i.naturalHeight; c.getContext('2d').drawImage(i, 0, 0); "
            "return c.toDataURL('image/png').split(',')[1]})()"
        )
        return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB") if data else None

    def steady_picture(self) -> Image.Image:
        """The same once it no longer follows: as it was half a second before."""

        def unchanged() -> Image.Image | None:
            before = self.picture()
            time.sleep(0.5)
            now = self.picture()
            return now if before and now and before.tobytes() == now.tobytes() else None

        return self.wait(unchanged, what="a steady picture")

    def row_of(self, name: str) -> Any:
        """A slider in Nodes 2.0, whose label begins with its name."""
        starts = re.compile(rf"^\s*{re.escape(name)}\b")
        return self.tab.locator('[data-testid="node-widget"]', has_text=starts).first

    def place_of(self, name: str) -> tuple[float, float, float]:
        """x and y of the middle of a slider's track on the page, and the length of the track."""
        if self.modern:
            row = self.row_of(name)
            handle = row.locator('[role="slider"]').first.bounding_box()
            track = row.locator('[role="slider"]').first.locator("xpath=../..").bounding_box()
            assert handle and track
            length = track["width"] - handle["width"]
            return track["x"] + track["width"] / 2, handle["y"] + handle["height"] / 2, length
        x, y, width, scale = self.js(
            f"(() => {{const n = {SLIDER_NODE}, w = n.widgets.find(w => w.name === 'dir:{name}'); "
            "const c = window.app.canvas, r = c.canvas.getBoundingClientRect(), s = c.ds.scale; "
            "const [a, b] = c.ds.offset; return [(n.pos[0] + n.size[0] / 2 + a) * s + r.left, "
            "(n.pos[1] + w.y + 10 + b) * s + r.top, n.size[0], s]})()"
        )
        return x, y, (width - 30) * scale

    def steady_place_of(self, name: str) -> tuple[float, float, float]:
        """The same once it has stayed: the node may just be growing for its picture."""

        def unchanged() -> tuple[float, float, float] | None:
            before = self.place_of(name)
            time.sleep(0.5)
            return before if self.place_of(name) == before else None

        return self.wait(unchanged, what=f"the slider {name} stays where it is")

    def drag(self, name: str, share: float) -> None:
        """Drags a slider to a share of its track, -1 to 1, with the mouse."""
        x, y, length = self.steady_place_of(name)
        start = x
        if self.modern:
            box = self.row_of(name).locator('[role="slider"]').first.bounding_box()
            start = box["x"] + box["width"] / 2
        self.tab.mouse.move(start, y)
        self.tab.mouse.down()
        for step in range(1, 11):
            self.tab.mouse.move(start + (x + share * length / 2 - start) * step / 10, y)
            time.sleep(0.03)
        self.tab.mouse.up()
        time.sleep(0.3)
