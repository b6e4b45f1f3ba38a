"""OpenF1: races as tables of positions, car data, laps, stints, weather and race control."""

from .race import import_openf1

__all__ = ["import_openf1"]
