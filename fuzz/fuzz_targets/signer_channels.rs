#![no_main]
fuzz::target!(signer_channels);
