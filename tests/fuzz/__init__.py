"""Fuzzing of everything that reads bytes from outside: `make fuzz`, and a short form in the tests.

A target is a strategy of inputs, valid ones spoiled among them, and a check that feeds one to a
parser. The check may raise what the parser documents, nothing else; no input may take more than a
second of processor time or more memory than the target's bound.
"""
