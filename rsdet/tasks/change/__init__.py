"""What has changed between two dates of one place."""
