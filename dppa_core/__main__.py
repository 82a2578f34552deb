"""`python -m dppa_core`: the command line.

Knows nothing beyond where it begins.
"""

from dppa_core.cli.main import main

if __name__ == "__main__":
    main()
