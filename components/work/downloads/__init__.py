"""Files made for visitors: kept, bounded, sent."""
