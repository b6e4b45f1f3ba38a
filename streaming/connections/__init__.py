"""One connection, from its first message to its last: consumers, pumps, and what wakes them."""
