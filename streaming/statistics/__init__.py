"""Figures of one connection: counted in under a microsecond, and judged. Pure."""
