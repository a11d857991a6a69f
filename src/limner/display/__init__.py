"""What is on a screen: the window, its keys, and the strip with FPS and latency."""
