"""Live statistics of every connection's callbacks: recording, sharing, verdicts."""
