"""Files, threads, memory and disk of the machine."""
