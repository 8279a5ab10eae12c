"""How much memory a large folder takes; measured in a process of its own, on Linux only."""

import json
import os
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import pytest

from trainer.data import open_images

NUM_IMAGES = 20_000
# Opens a source and prints the peak of its own anonymous memory, in MiB above the start. Mapped
# files are not counted: the system takes their pages back when it needs them.
MEASURE = """
import json, sys, threading, time
from pathlib import Path
from trainer.data import open_images
import tqdm  # and all else that is imported on the way

def anonymous():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024

start, peak, done = anonymous(), 0.0, threading.Event()

def watch():
    global peak
    while not done.wait(0.005):
        peak = max(peak, anonymous())

thread = threading.Thread(target=watch)
thread.start()
opened = open_images(sys.argv[1], 64, cache_dir=Path(sys.argv[2]))
total = int(opened.images[::100].sum())
done.set()
thread.join()
print(json.dumps({"start": start, "grown": peak - start, "used": opened.report.used}))
"""


def measure(source: Path, cache: Path) -> dict:
    root = Path(__file__).parents[3]
    finished = subprocess.run(
        [sys.executable, "-c", MEASURE, str(source), str(cache)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    return json.loads(finished.stdout.splitlines()[-1])


def tiny_png(number: int) -> bytes:
    """An 8 x 8 image that no other number gives, made without Pillow for speed."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    pixels = number.to_bytes(4, "big") * 48  # 8 x 8 x 3
    rows = b"".join(b"\0" + pixels[start : start + 24] for start in range(0, 192, 24))
    header = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, data) for name, data in parts)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self/status")
@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_memory_of_many_images_stays_small(tmp_path, kind):
    if kind == "zip":
        source = tmp_path / "many.zip"
        with zipfile.ZipFile(source, "w") as archive:
            for number in range(NUM_IMAGES):
                archive.writestr(f"{number % 100:02d}/{number:06d}.png", tiny_png(number))
    else:
        source = tmp_path / "many"
        for folder in range(100):
            (source / f"{folder:02d}").mkdir(parents=True)
        for number in range(NUM_IMAGES):
            (source / f"{number % 100:02d}/{number:06d}.png").write_bytes(tiny_png(number))
    measured = measure(source, tmp_path / "cache")
    sys.stderr.write(f"\n{kind}: {NUM_IMAGES:,} images, {measured}\n")
    assert measured["used"] == NUM_IMAGES
    # 240 MB of pixels are decoded; the listing, the survey and the threads need a part of this.
    assert measured["grown"] < 100
    # Five times the number, were all of it in proportion, on top of Python itself.
    assert measured["start"] + 5 * measured["grown"] < 700


def test_tiny_images_differ_and_are_readable(tmp_path):
    (tmp_path / "few").mkdir()
    for number in (0, 1, 65536):
        (tmp_path / "few" / f"{number}.png").write_bytes(tiny_png(number))
    opened = open_images(str(tmp_path / "few"), 8, cache_dir=tmp_path / "cache")
    assert opened.report.used == 3
    assert opened.report.findings.num_duplicates == 0
