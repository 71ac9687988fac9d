"""What picks among estimators: the registry of methods, and their comparison."""
