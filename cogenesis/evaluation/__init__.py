"""Measurements that a reader can run: how fast, how well, and how private.

Each command of `cogenesis evaluate` has its modules here; none of them prints.
"""
