"""Imports: published tables of results in the store, with where they come from and what is doubtful
in them.
"""

from headwater.leaderboard.imports.mapping import TableMapping
from headwater.leaderboard.imports.record import ImportResult, IncomingTable, import_table

__all__ = ["ImportResult", "IncomingTable", "TableMapping", "import_table"]
