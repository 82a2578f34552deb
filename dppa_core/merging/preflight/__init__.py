"""Can these models be merged? Found out from configurations and headers, before any download."""
