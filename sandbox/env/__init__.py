"""Environments made by `gome env`: where they are, how they are made, and what they hold."""
