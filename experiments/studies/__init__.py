"""What the studies of several searches need: comparisons, robustness, the paper's table."""
