"""Imports: published tables of results in the store, with where they come from and what is doubtful in them."""

from headwater.leaderboard.imports.mapping import TableMapping
from headwater.leaderboard.imports.record import Imported, Incoming, import_table

__all__ = ["Imported", "Incoming", "TableMapping", "import_table"]
