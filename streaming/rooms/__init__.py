"""Viewers on any worker who share one timeline."""
