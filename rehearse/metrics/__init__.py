"""What a rehearsal tells a monitoring system while it runs."""
