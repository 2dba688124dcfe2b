"""Losses, one idea per file; they know nothing of tasks."""
