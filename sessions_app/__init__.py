"""What was recorded: models, recording files, importers, standings, REST, admin."""
