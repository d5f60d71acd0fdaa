"""Phenomena to study: each reads or makes the stimuli of one task."""
