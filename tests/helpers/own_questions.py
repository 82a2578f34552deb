"""Questions of one's own that the embedded math and law models can be asked."""

from pathlib import Path

APPLES = """{"scorer": "number"}
{"question": "Tom has 3 apples. Tom buys 4 more. How many apples does Tom have now?", "answer": 7}
{"question": "Ann has 9 pens. Ann loses 2. How many pens does Ann have now?", "answer": "9 - 2 = 7"}
{"question": "Ben has 5 books. Ben finds 1 more. How many books does Ben have now?", "answer": "6"}
{"question": "Mia has 8 coins. Mia sells 3. How many coins does Mia have now?", "answer": "5"}
{"question": "Leo has 2 bags with 6 eggs in each. How many eggs does Leo have?", "answer": "12"}
{"question": "Ruth has 20 keys. Ruth sells 8. How many keys does Ruth have now?", "answer": "12"}
"""
CLAUSES = """question,answer,scorer
"Clause: Either party may end this contract. What type of clause is it?",termination,contains
"Clause: The law of Ohio governs this contract. What type of clause is it?",governing law,contains
"Clause: The buyer pays in 30 days. What type of clause is it?",payment,contains
"Clause: Neither party may tell others the price. What type of clause is it?",secrecy,contains
"""


def write_apples(folder: Path, name: str = "apples.jsonl") -> Path:
    """The file of six word problems, three of them in each split."""
    path = folder / name
    path.write_text(APPLES, "utf-8")
    return path


def write_clauses(folder: Path, name: str = "clauses.csv") -> Path:
    """The file of four clauses."""
    path = folder / name
    path.write_text(CLAUSES, "utf-8")
    return path
