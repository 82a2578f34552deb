"""The HTTP server: request checks, a fair queue, settings.

Its parts in order; each imports only those before it:

    guards       checks of requests
    queue        order of requests, and what the server stores about sessions
    .            settings, log, health, start and end
"""
