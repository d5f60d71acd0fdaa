"""Many searches as one program, on all devices."""
