"""What tests share: real servers, factories, faults."""
