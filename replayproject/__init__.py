"""Configuration and entry points: the top layer, which imports both of the others."""
