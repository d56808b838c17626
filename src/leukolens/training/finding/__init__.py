"""Training the detector: scenes with boxes, views of them, heatmaps to learn, the loop, the export."""
