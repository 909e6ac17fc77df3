"""The same work, side by side with what people use today, in one run; see loadtest/README.md."""
