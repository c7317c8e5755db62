"""Recipes: what the field knows, one Markdown file each, offered where its conditions hold."""
