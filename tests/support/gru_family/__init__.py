"""A model family that the package doesn't have: a GRU of one layer, written in the simplest way."""
