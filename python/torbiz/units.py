"""Amounts as people read them."""

from __future__ import annotations


def size(count: float) -> str:
    """Bytes in decimal units: ``3.5 GB``, ``120 kB``."""
    for unit, power in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= 0.95 * power:
            value = count / power
            return f"{value:.1f} {unit}" if value < 9.95 and power > 1e3 else f"{value:.0f} {unit}"
    return f"{count:.0f} bytes"


def duration(seconds: float) -> str:
    """``45 s``, ``12 minutes``, ``8 hours``; days as hours."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} minutes" if minutes < 90 else f"{minutes / 60:.0f} hours"
