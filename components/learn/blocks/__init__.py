"""The live blocks of lessons. They use the library, never a tensor."""
