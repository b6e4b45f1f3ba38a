"""The frame store: makes each payload once and keeps it in memory and in Redis."""
