"""`limner serve`: a page, an HTTP API and a WebSocket around one set of loaded models.

Start with `app`, which lists the routes, and `served`, which holds what they share: the models, the batcher that runs
their networks for all clients, and the limits.
"""
