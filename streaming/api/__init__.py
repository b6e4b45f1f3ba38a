"""REST: frames and segments of recordings; live connections for staff."""
