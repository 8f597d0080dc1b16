"""Pictures and words that explain an operation; nothing here computes one.

Matplotlib is imported only when a picture is asked for.
"""
