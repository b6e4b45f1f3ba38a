"""What the admin pages of live connections show: lists, reports, charts, profiles."""
