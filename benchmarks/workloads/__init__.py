"""One module for each workload, with its `WORKLOAD`; a new one is found by being here."""
