"""Configuration and entry points: the top layer, which knows both of the others."""
