"""Prune, amplify and merge fine-tuned models: the library behind DPPA Studio.

Knows no interface. Import what you need from its modules, as `dppa_core.plan`.
"""

__version__ = "0.1.0"
