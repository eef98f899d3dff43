"""Seeded worlds: people, CRM users and ESP administrators act while the weather is bad and the process dies."""
