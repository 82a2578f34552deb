"""The study of lab/docs/study-plan.md: the same merges on sets of other seeds and regimes."""
