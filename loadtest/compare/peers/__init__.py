"""What people use today, set up the way a good developer would."""
