"""Language models, a folder for each family."""
