"""Our Daphne: flow control in both directions, a listening socket that workers share, uvloop."""
