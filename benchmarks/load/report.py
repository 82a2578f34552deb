"""stub"""
from pathlib import Path
ROOT = Path(__file__).resolve().parents[2]
def text(found): return ""
def write(root, found): pass
