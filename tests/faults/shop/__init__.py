"""An app of the fault tests, whose handlers count what they have done in a table of the database."""
