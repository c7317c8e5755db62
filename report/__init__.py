"""What a person looks at: live console, report."""
