#![no_main]
fuzz::target!(record_stream);
