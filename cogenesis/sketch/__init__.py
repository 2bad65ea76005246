"""The sketch variant: the cloud model outlines, the device model fills in."""
