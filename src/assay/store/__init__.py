"""The result store: every run with all that was measured, in SQLite or PostgreSQL.

open_store()                                   the user's own, in a file
open_store("postgresql://user@host/database")  one that a team shares

Importing this package is light; the database's library is loaded when a store is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assay.store.runs import Store

__all__ = ["open_store"]


def open_store(url: str | None = None) -> Store:
    """The store at a URL or path; `$ASSAY_STORE`, or a file in the user's data folder, without one.

    Nothing is opened or made until a run is asked for or added. Raises `StoreError` for a URL that cannot be one.
    """
    from assay.store.database import Database
    from assay.store.place import store_url
    from assay.store.runs import Store

    return Store(Database(store_url(url)))
