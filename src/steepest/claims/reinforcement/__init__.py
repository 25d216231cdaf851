"""Claims about reinforcement learning."""
