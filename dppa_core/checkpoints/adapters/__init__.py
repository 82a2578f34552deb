"""LoRA adapters and delta packs, seen as whole models."""
