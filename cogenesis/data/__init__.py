"""Building, importing and checking context-aware data."""
