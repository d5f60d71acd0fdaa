"""Weights of other frameworks, turned into model folders of `jaxmask`, and back."""
