"""Settings of a training run: presets, single settings, and the command that made a run."""
