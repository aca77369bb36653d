"""Whether what makes training faster leaves the accuracy of tickets as it is."""
