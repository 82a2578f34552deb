"""Why a factor helps, and why two help more: losses foretold and measured."""
