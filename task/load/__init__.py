"""From a folder to a Task: files, tables, roles, task.yaml."""
