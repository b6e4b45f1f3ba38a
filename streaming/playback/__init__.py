"""The pure core: messages, timeline, viewer. Commands and a clock in, messages and wake-ups out."""
