"""The same sagas, from the same definition, run by Temporal. Optional: it needs the extra `temporal`."""
