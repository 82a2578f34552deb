"""Searches of a merge's settings: the paper's climb, a joint search, Optuna, a grid.

One loop (`run_search`) asks a sampler for settings, holds their exams in threads, and tells it the
scores. `SearchOptions` says what is searched and how; `checked_options` and `options_for` settle
it. Samplers: `ClimbSampler` and `JointSampler` run searches written as generators, `Walk`s, which
need exams to wait for each other, and end by themselves; `OptunaSampler` wraps a study, which never
ends by itself and draws while other trials are open. So Optuna's own interface of samplers, which
can neither wait nor end, holds its samplers only. State: `ScoreMemory` keeps scores by what was
scored, so a walk is repeated without exams; a study keeps trials, which cannot be drawn again.
Every trial is a `SearchTrial`; every result is a `SearchResult` with the recipe, JSON and a frame.
"""
