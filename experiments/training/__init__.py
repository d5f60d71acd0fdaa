"""Parts of the script that trains language models."""
