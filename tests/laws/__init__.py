"""Laws: what must hold for every input, whatever the numbers."""
