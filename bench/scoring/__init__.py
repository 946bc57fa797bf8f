"""From a predictions file to metrics, with numpy alone."""
