"""One hostile client at the public page: effects on an honest visitor, and leftovers."""
