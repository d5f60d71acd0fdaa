"""Words, minimal pairs and text."""
