"""What is written beside the weights: tokenizer and configuration, record, licence, model card."""
