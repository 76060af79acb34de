"""One option per training, everything else equal: what does each buy? See __main__.py."""
