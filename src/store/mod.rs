//! The store: SQLite store-and-forward.
