"""What training language models needs."""
