"""Custom user models that projects really have; NOTIFY_TEST_USER chooses one."""
