"""The sliders in ComfyUI's page: from the template browser to an edited picture by dragging."""

from __future__ import annotations

import copy
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.e2e.browser import SLIDER_NODE, Page, open_page

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted(path.stem for path in (ROOT / "workflows").glob("*.json"))
EDIT = json.loads((ROOT / "workflows" / "edit_image.json").read_text(encoding="utf-8"))
RENDERERS = {"classic": False, "nodes2": True}


@pytest.fixture(params=RENDERERS, ids=str)
def page(comfy, request) -> Iterator[Page]:
    if RENDERERS[request.param] and not comfy.has_nodes_2():
        pytest.skip("this ComfyUI has no Nodes 2.0 with sliders")
    with open_page(comfy.url, modern=RENDERERS[request.param]) as page:
        yield page


def keep(page: Page, name: str) -> None:
    """A screenshot in $CLDIS_SCREENSHOTS, for the documents."""
    if folder := os.environ.get("CLDIS_SCREENSHOTS"):
        page.tab.screenshot(path=f"{folder}/{name}.png")


def newest_output(comfy) -> Image.Image:
    files = sorted(
        (comfy.base / "output" / "cldis").glob("edit*.png"), key=lambda f: f.stat().st_mtime
    )
    return Image.open(files[-1]).convert("RGB")


def difference(first: Image.Image, second: Image.Image) -> float:
    """Mean, of 255."""
    second = second.resize(first.size)
    return float(np.abs(np.asarray(first, float) - np.asarray(second, float)).mean())


def test_first_minute_from_the_template_to_an_edited_picture(comfy, page: Page) -> None:
    page.open_template("edit_image")
    page.wait(lambda: len(page.sliders()) == 11, what="eleven sliders")
    assert page.picture() is None and "Run once" in page.status()
    page.run()
    before = page.wait(page.picture, what="a picture")
    page.drag("head turn", 0.35)
    page.drag("skin", 0.5)
    keep(page, "nodes2" if page.modern else "classic")
    edits = json.loads(page.edits())
    assert edits["head turn"] > 0.5 and edits["skin"] > 0.5
    assert edits["hair colour"] == -1.2  # of the template, untouched
    page.wait(lambda: difference(page.picture(), before) > 4, what="it follows")
    after = page.steady_picture()
    page.run()
    result = newest_output(comfy)
    assert result.size == (512, 512)
    assert difference(result, after) < 4 < difference(result, before)
    page.tab.reload()
    page.start()
    page.wait(lambda: len(page.sliders()) == 11, 60, what="the sliders after a reload")
    assert json.loads(page.edits()) == edits
    assert page.amount("head turn") == pytest.approx(edits["head turn"])
    again = page.wait(page.picture, what="the picture after a reload")
    assert difference(again, after) < 2
    assert page.errors == []


@pytest.mark.slow
@pytest.mark.parametrize("name", TEMPLATES)
def test_each_template_opens_from_the_browser_and_runs(comfy, page: Page, name: str) -> None:
    page.open_template(name)
    if name != "train_model":  # minutes; the API test of it runs fewer steps
        page.run(180)
    assert page.errors == []


@pytest.mark.slow
def test_sliders_survive_what_people_do_with_nodes(page: Page) -> None:
    page.load(EDIT)
    page.wait(lambda: len(page.sliders()) == 11, what="eleven sliders")
    page.run()
    page.wait(page.picture, what="a picture")
    page.drag("light", -0.7)
    moved = page.edits()
    assert json.loads(moved)["light"] < -0.5
    # undo and redo
    page.tab.mouse.click(300, 900)
    page.tab.keyboard.press("Control+z")
    page.wait(lambda: len(page.sliders()) == 11 and "light" not in page.edits(), what="undo")
    page.wait(lambda: page.amount("light") == 0, what="the slider after undo")
    page.wait(page.picture, what="the picture after undo")
    time.sleep(1)  # the node has grown by then
    if page.modern:  # elsewhere ComfyUI's own preview makes Decode grow, which ends redo
        page.tab.mouse.click(300, 900)  # which is taken for a change, if anything is another
    page.tab.keyboard.press("Control+y")
    page.wait(lambda: page.edits() == moved, what="redo")
    page.wait(lambda: page.amount("light") < -0.5, what="the slider after redo")
    # copy and paste, with links
    page.js(
        f"(() => {{const c = window.app.canvas, n = {SLIDER_NODE}; c.selectNode(n); "
        "c.copyToClipboard([n]); c.pasteFromClipboard({connectInputs: true})})()"
    )
    copies = "window.app.graph._nodes.filter(n => n.comfyClass === 'CLDIS_EditSliders')"
    page.wait(lambda: page.js(f"{copies}.length") == 2, what="a copy")
    values = f"{copies}.map(n => n.widgets.find(w => w.name === 'edits').value)"
    assert page.js(values) == [moved, moved]
    # bypass: the image comes out as it went in
    page.js(f"({SLIDER_NODE}.mode = 4)")
    page.run()
    page.js(f"({SLIDER_NODE}.mode = 0)")
    # saved and loaded
    saved = page.js("JSON.parse(JSON.stringify(window.app.graph.serialize()))")
    node = next(each for each in saved["nodes"] if each["type"] == "CLDIS_EditSliders")
    assert node["widgets_values"][0] == moved
    assert [each for each in node["widgets_values"][1:] if each is not None] == []
    page.load(saved)
    page.wait(lambda: len(page.sliders()) == 11 and page.edits() == moved, what="loading")
    assert page.errors == []


@pytest.mark.slow
def test_copies_and_what_was_undone_ask_the_server_nothing(page: Page) -> None:
    page.load(EDIT)
    page.wait(lambda: len(page.sliders()) == 11, what="eleven sliders")
    page.run()
    page.wait(page.picture, what="a picture")
    for _ in range(5):  # ComfyUI makes a node for each, and forgets it
        page.js(f"(() => {{const n = {SLIDER_NODE}; window.app.canvas.copyToClipboard([n])}})()")
    page.load(page.js("JSON.parse(JSON.stringify(window.app.graph.serialize()))"))
    page.wait(page.picture, what="the picture again")
    asked: list[str] = []
    page.tab.on("request", lambda request: asked.append(request.url.partition("/cldis/")[2]))
    page.run()
    page.tab.wait_for_timeout(3000)
    named = [each.partition("?")[0] for each in asked if each]
    assert sorted(named) == ["picture", "presets", "preview", "sliders"]
    assert page.errors == []


@pytest.mark.slow
def test_names_are_typed(comfy, page: Page) -> None:
    page.load(EDIT)
    page.wait(lambda: len(page.sliders()) == 11, what="eleven sliders")
    for button, typed in (("Save", "evening"), ("Rename", "lamp")):
        page.drag("light", -0.7)
        page.tab.get_by_role("button", name=button, exact=True).first.click()
        page.tab.keyboard.press("Control+a")
        page.tab.keyboard.type(typed)
        page.tab.keyboard.press("Enter")
        try:
            page.wait(lambda text=typed: text in page.panel(), what=typed)
        finally:
            model = "cldis_demo (bundled)"
            comfy.post("/cldis/sliders", {"model": model, "slider": "light", "name": ""})
    shown = "[...document.querySelectorAll('textarea')].some(t => t.offsetParent && t.value === "
    page.tab.get_by_role("button", name="Text", exact=True).first.click()
    page.wait(lambda: page.js(f"{shown}{page.edits()!r})"), what="the edits as text")
    page.tab.get_by_role("button", name="Text", exact=True).first.click()
    page.wait(lambda: not page.js(f"{shown}{page.edits()!r})"), what="the text hidden again")
    assert page.js("window.app.graph._nodes.length") == len(
        EDIT["nodes"]
    )  # no key has gone to the canvas
    assert page.errors == []


@pytest.mark.slow
def test_another_model_keeps_what_it_does_not_know(page: Page) -> None:
    page.load(EDIT)
    page.wait(lambda: len(page.sliders()) == 11, what="eleven sliders")
    loader = "window.app.graph._nodes.find(n => n.comfyClass === 'CLDIS_LoadModel').widgets[0]"
    page.js(f"({loader}.value = 'tiny.safetensors')")
    page.wait(lambda: "dir:yaw" in page.sliders(), what="the other model's sliders")
    kept = {"#hair colour": -1.2, "#background": 1.5}
    page.wait(lambda: json.loads(page.edits()) == kept, what="the amounts are kept")
    page.run()
    page.js(f"({loader}.value = 'cldis_demo (bundled)')")
    page.wait(lambda: len(page.sliders()) == 11, what="eleven sliders again")
    assert json.loads(page.edits()) == {"hair colour": -1.2, "background": 1.5}
    assert page.amount("hair colour") == pytest.approx(-1.2)
    assert page.errors == []


@pytest.mark.slow
def test_sliders_work_within_a_subgraph(page: Page) -> None:
    if not page.js("typeof window.app.graph.convertToSubgraph === 'function'"):
        pytest.skip("this frontend has no subgraphs")
    page.load(EDIT)
    page.wait(lambda: len(page.sliders()) == 11, what="eleven sliders")
    page.js(
        "(() => {const g = window.app.graph; g.convertToSubgraph(new Set(g._nodes.filter(n => "
        "['CLDIS_Encode', 'CLDIS_EditSliders', 'CLDIS_Decode'].includes(n.comfyClass))))})()"
    )
    page.wait(lambda: page.js("window.app.graph._nodes.some(n => n.subgraph)"), what="a subgraph")
    page.wait(lambda: len(page.sliders()) == 11, what="the sliders within it")
    assert json.loads(page.edits()) == {"hair colour": -1.2, "background": 1.5}
    page.run()
    host = "window.app.graph._nodes.find(n => n.subgraph)"
    page.js(
        f"(window.app.canvas.openSubgraph ? window.app.canvas.openSubgraph({host}.subgraph, "
        f"{host}) : window.app.canvas.setGraph({host}.subgraph))"
    )
    page.wait(lambda: page.tab.locator(".cldis-picture").count() > 0, what="the node is shown")
    page.wait(page.picture, what="its picture")
    assert page.errors == []


@pytest.mark.slow
def test_the_blueprint_edits_an_image(comfy, page: Page) -> None:
    (path,) = (ROOT / "subgraphs").glob("*.json")
    listed = comfy.get("/global_subgraphs") if comfy.has_blueprints() else None
    if listed is None:
        pytest.skip("this ComfyUI knows no blueprints")
    assert path.stem in {each["name"] for each in listed.values()}
    page.load(json.loads(path.read_text(encoding="utf-8")))
    page.wait(lambda: len(page.sliders()) == 11, what="the sliders within it")
    page.js(
        "(() => {const g = window.app.graph, add = (type, x) => {const n = "
        "window.LiteGraph.createNode(type); n.pos = [x, 300]; g.add(n); return n}; "
        "const host = g._nodes.find(n => n.subgraph); "
        "add('CLDIS_SampleImage', -400).connect(0, host, 0); "
        "host.connect(0, add('SaveImage', 500), 0)})()"
    )
    page.run()
    assert page.errors == []


@pytest.mark.slow
def test_the_edit_template_is_an_app(page: Page) -> None:
    commands = "window.app.extensionManager?.command?.commands ?? []"
    if not page.js(f"({commands}).some(each => each.id === 'Comfy.ToggleLinear')"):
        pytest.skip("this frontend has no App mode")
    page.load(EDIT)
    page.wait(lambda: len(page.sliders()) == 11, what="eleven sliders")
    page.run()
    page.js(
        "(async () => {await window.app.extensionManager.command.execute('Comfy.ToggleLinear')})()"
    )
    slider = page.tab.get_by_text("head turn: looks right", exact=False)
    page.wait(lambda: any(each.is_visible() for each in slider.all()), what="a slider in the app")
    if page.tab.get_by_text("Skip", exact=True).count():
        page.tab.get_by_text("Skip", exact=True).first.click()
    before = page.wait(page.picture, what="the picture in the app")
    page.js(f"({SLIDER_NODE}.widgets.find(w => w.name === 'dir:skin').callback(1.5))")
    page.wait(lambda: difference(page.picture(), before) > 4, what="it follows")
    keep(page, "app")
    assert page.errors == []


@pytest.mark.slow
def test_two_tabs_each_see_their_own_picture(comfy) -> None:
    with open_page(comfy.url, modern=False) as first:
        first.load(EDIT)
        first.wait(lambda: len(first.sliders()) == 11, what="eleven sliders")
        first.run()
        context = first.tab.context.browser.new_context(viewport={"width": 1700, "height": 950})
        second = Page(context.new_page(), comfy.url, modern=False)
        second.start()
        other = copy.deepcopy(EDIT)
        next(n for n in other["nodes"] if n["type"] == "CLDIS_SampleImage")["widgets_values"][0] = (
            "1 red bob, laughing"
        )
        second.load(other)
        second.wait(lambda: len(second.sliders()) == 11, what="eleven sliders")
        second.run()
        mine, theirs = first.wait(first.picture), second.wait(second.picture)
        assert difference(mine, theirs) > 10
        for tab in (first, second):
            tab.drag("light", 0.6)
        time.sleep(1)
        assert difference(first.picture(), mine) < difference(first.picture(), theirs)
        assert difference(second.picture(), theirs) < difference(second.picture(), mine)
        assert first.errors == second.errors == []
