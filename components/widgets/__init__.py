"""Building blocks of the views."""
