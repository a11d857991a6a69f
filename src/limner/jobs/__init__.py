"""One run over many inputs: images and videos are read, processed, drawn, written and shown."""
