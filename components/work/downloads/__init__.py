"""Files made for visitors: storage, limits, download route."""
