"""Bundled cards that are taken where nothing is said: the only names of cards outside of plugins/.

Everything else asks cards what they are. tests/test_architecture.py holds the rooms to it.
"""

DEFAULT_TASK_TYPE = "classification"
"""The type of a task that names none, and of plain labels that are scored."""

DEFAULT_ADAPTATION = "fine_tune"
"""How sources are adapted where a spec or command names nothing; other adaptations are compared
with it.
"""

DEFAULT_SELECTOR = "search"
"""The selector that a question takes which names none."""
