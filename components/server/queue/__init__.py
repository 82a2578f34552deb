"""Order of requests, and what the server stores about sessions."""
