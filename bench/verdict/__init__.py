"""The benchmark of the verdict: how often it is wrong and how often it decides, against known truth and the peers."""
