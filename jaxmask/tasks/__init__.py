"""Phenomena to study: each module reads or generates the stimuli of one task."""
