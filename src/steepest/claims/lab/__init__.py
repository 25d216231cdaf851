"""What claims share: the framework, the tasks they train on, and their rivals."""
