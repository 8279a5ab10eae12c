"""What a run shows while it trains: metrics file, progress, TensorBoard, events."""
