#![no_main]
fuzz::target!(channel);
