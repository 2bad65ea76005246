"""Measurements with recorded results; each file says how it is run."""
