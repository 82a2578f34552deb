"""Files beside the weights: tokenizer and configuration, record, licence, model card."""
