"""What a server counts, for Prometheus: numbers alone, and nothing of a client."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60)


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "limner_requests", "Requests that were answered.", ["route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "limner_request_seconds", "Time of a request.", ["route"], buckets=_SECONDS, registry=registry
        )
        self.images = Counter("limner_images", "Images that were estimated.", ["model"], registry=registry)
        self.frames = Counter("limner_frames", "Frames of videos and live sessions.", ["model"], registry=registry)
        self.instances = Counter(
            "limner_instances", "People, faces, hands that were found.", ["model"], registry=registry
        )
        self.refused = Counter("limner_refused", "Requests that were refused.", ["status"], registry=registry)
        self.batch = Histogram(
            "limner_batch_images", "Images in one batch.", buckets=(1, 2, 3, 4, 6, 8, 12, 16), registry=registry
        )
        self.batch_seconds = Counter("limner_batch_seconds", "Time that the networks worked.", registry=registry)
        self.waiting = Gauge("limner_waiting", "Images that wait for the networks.", registry=registry)
        self.connections = Gauge("limner_connections", "Open connections.", registry=registry)
        self.live = Gauge("limner_live_sessions", "Open live sessions.", registry=registry)
        self.videos = Gauge("limner_videos", "Videos that are processed.", registry=registry)
        self.memory = Gauge("limner_held_bytes", "Bytes of uploads and images that are held.", registry=registry)

    def add_batch(self, frames: int, seconds: float) -> None:
        """Count a batch."""
        self.batch.observe(frames)
        self.batch_seconds.inc(seconds)

    def text(self) -> bytes:
        """Return all of it in Prometheus's text form."""
        return generate_latest(self._registry)
