"""Where optimization meets a field; each folder is imported by its own name and uses what a user has."""
