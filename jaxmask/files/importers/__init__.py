"""Minimal pairs in the formats of other people, turned into tasks."""
