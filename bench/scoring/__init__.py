"""Metrics from a predictions file, computed with numpy and without torch."""
