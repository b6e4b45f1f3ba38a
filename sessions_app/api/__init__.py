"""REST for what was recorded: sessions, geometry, events, laps, standings. Frames are served by
`streaming/api/`."""
