"""The estimators: validate, units, core, store."""
