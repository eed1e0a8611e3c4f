"""What pytest leaves alone here."""

collect_ignore = ["tensorflow_seed.py"]  # a script for another process, which alone may import TensorFlow
