"""Image files: read by one set of rules (`reading`), written in one move (`writing`)."""
