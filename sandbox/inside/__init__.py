"""Programs and modules that run inside a sandbox; standard library only.

Each works when its file, with those it imports, is copied or bound alone.
"""
