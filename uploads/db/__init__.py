"""What speaks SQL: group commit, hand-written statements, connections, SQLite."""
