"""The vendor mocks over HTTP: a server, a believable population, and faults."""
