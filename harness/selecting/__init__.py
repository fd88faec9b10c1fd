"""Selecting: which source for my task, asked of a selector that estimates and measures within a
budget.
"""
