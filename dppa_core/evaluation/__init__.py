"""Exams: ask models and merges the items of a domain, and score their answers.

An exam is a set of items of one domain for one model or merge. An `Examiner` asks them and marks
each answer; the marks make a score. Tables show scores.

Its parts in order; each imports only those before it:

    .            exams, scores, tables, perplexity
    analysis     what a delta or a merge looks like inside
    diff         two models compared
    sentences    encoders: vectors of texts, and how they rank pairs
    vllm         exams held by a vLLM server
"""
