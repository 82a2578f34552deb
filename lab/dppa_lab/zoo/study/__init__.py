"""The study of docs/study-plan.md: the same merges on sets of other seeds and regimes."""
