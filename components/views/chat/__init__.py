"""The right column: answers."""
