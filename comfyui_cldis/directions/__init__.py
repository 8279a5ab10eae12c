"""Finding what directions change: ranking, names, ranges and quality."""
