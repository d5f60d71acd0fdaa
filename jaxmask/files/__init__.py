"""What is written to disk and read again: run folders and intervention files."""
