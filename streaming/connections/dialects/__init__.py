"""What clients speak: `replay.v1`, and the plain dialect of older front ends."""
