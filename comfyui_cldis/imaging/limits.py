"""What is accepted of an image file, and how large one may be."""

from __future__ import annotations

# endings of the files that are looked for in folders and zip files; what a file holds is told by
# its first bytes, whatever its name
ENDINGS = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".gif")

# Of one image while it is decoded, such as 16384 x 8192. Larger JPEG files are read at a half, a
# quarter or an eighth of their size; at an eighth, the largest there can be fits.
MAX_PIXELS = 2**27
# A progressive JPEG file is held whole, however small it is decoded, at a third of the bytes.
PROGRESSIVE_SHARE = 3
MAX_PROFILE_BYTES = 2**24  # unpacked; those of printers take some MiB

MAX_WRITTEN_SIDE = {"JPEG": 65500, "WEBP": 16383}  # pixels; as libjpeg and libwebp have it
