"""Ledger & Co: a small back office that shows notify at work, one scenario a page."""
