"""Files, threads and what the machine says; knows no model."""
