"""Claims about step sizes and their schedules."""
