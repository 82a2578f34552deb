"""One hostile client at the public page: what an honest visitor notices, and what stays behind."""
