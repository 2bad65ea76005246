"""Tests with a Ray cluster: one after another, in one process that joins one cluster.

Ray keeps the first token that a process gives it, two clusters of `benchmarks.ray_nodes` have the
same addresses, and a test that kills workers must not meet those of another one.
"""
