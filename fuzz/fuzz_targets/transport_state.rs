#![no_main]
fuzz::target!(transport_state);
