"""The page as a whole: views laid out and wired, endpoints, start."""
