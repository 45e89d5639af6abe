#![no_main]
fuzz::target!(tlv_stream);
