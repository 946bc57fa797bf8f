"""From a prepared store to trained weights, predictions and a record."""
