"""Custom user models as real projects have them. NOTIFY_TEST_USER chooses one."""
