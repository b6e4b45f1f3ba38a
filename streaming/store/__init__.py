"""Who makes a payload, once, and where it is kept: memory, Redis, the recording file."""
