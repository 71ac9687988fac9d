"""Pure functions on arrays: numpy and scipy, no scikit-learn."""
