"""What `bench_learning_rate.py` trains on and how it measures one run. The report is the script's; nothing here chooses a rate."""
