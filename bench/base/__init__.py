"""Small tools that every floor uses; imports nothing else of the suite."""
