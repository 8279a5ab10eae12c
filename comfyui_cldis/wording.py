"""Numbers with their nouns."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Such as "1 image", "2,000 images"; `noun` in the singular, with a regular plural."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
