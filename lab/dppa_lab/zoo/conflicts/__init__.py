"""Models that answer each other's questions in their own way, merged by pairs."""
