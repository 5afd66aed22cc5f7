"""From frames to a table: background, detection, fits, drift, linking, filtering."""
