"""All runs of a folder: a static index page, and a local page that follows and compares them."""
