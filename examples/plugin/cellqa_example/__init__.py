"""What another package can add to cellqa and ciegan, one thing a file."""
