"""What the procedural data sets are called; nothing is imported for it."""

HEADS_NAME = "heads"
SHAPES3D_NAME = "shapes3d-equivalent"
DSPRITES_NAME = "dsprites-equivalent"
DRAWN_NAMES = (SHAPES3D_NAME, DSPRITES_NAME)
FACTOR_NAMES = (HEADS_NAME, *DRAWN_NAMES)
