"""`dppa zoo`: train sets of models, and measure what they show."""
