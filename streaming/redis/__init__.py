"""The one way to Redis: who opens clients, and what happens when Redis is away."""
