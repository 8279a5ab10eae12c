"""Ablations: the rows of a sweep, trained, scored, and put into a table and a figure."""
