"""What a request may be: its host and origin, its route, its size, its values."""
