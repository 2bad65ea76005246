"""Doing the same work for many items: here in threads, or on a Ray cluster.

What is done is written once, as an `Opening` (`engine.py`); an engine only schedules it. So the
output does not depend on the engine, nor on how many workers there are or which of them died.
"""
