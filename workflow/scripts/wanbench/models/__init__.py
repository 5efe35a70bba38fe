"""What is true of each model."""
