"""What viewers get: protocol, playheads, flow control, frame store, statistics, player."""
