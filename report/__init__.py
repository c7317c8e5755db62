"""What a person looks at: console, terminal tables, report.html and notebook output."""
