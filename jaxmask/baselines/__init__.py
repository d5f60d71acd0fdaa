"""Other ways to choose units, with the contract of the search."""
