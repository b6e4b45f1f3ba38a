"""Live figures: each worker's registry, the board that workers share, its reader, metrics."""
