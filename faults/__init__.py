"""What breaks, and what viewers and operators see of it: `make faults`. See docs/reliability.md."""
