"""Unit tests that take longer: many examples, statistics, and the published samples."""
