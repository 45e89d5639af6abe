#![no_main]
fuzz::target!(message_of);
